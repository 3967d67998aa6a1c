"""What a person does at the simulated DUT's console: wait for the login, log in, ask something."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hil.sim.dut.session import PASSWORD, USER

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console

__all__ = ["LIMIT_S", "answer", "boot_and_log_in"]

LIMIT_S = 30.0
"""For anything that the DUT does: far longer than it takes, on a machine that is busy."""

_PROMPT = r"\r\n# "


def boot_and_log_in(board: Board) -> None:
    """Switch the DUT on, wait for its login and log in."""
    board.console.open()
    board.power.on()
    board.console.expect("login: ", LIMIT_S)
    board.console.sendline(USER)
    board.console.expect("Password: ", LIMIT_S)
    board.console.sendline(PASSWORD)
    board.console.expect(_PROMPT, LIMIT_S)


def answer(console: Console, command: str) -> str:
    """Run a command on the DUT and return what it printed."""
    console.sendline(command)
    console.expect(re.escape(command) + r"\r\n", LIMIT_S)
    return console.expect(_PROMPT, LIMIT_S).before.decode()
