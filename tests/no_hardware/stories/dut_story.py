"""Steps that most stories share: write an image to the stick, boot the DUT, log in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hil.dutlink.timing import until
from hil.sim.dut.session import PASSWORD, USER

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.power.power import Power
    from hil.dutlink.storage.storage import Storage

SPEED = 10.0
IMAGE_BYTES = 8 << 20
"""Size of the stick and of each image here, so that both have the same bytes."""

IMAGE_NAME = "story-1"
PROMPT = r"\r\n# "
LIMIT_S = 60.0
"""Limit for any act of the DUT; long, because the machine may be busy."""


def put_on_stick(storage: Storage, image: Path) -> None:
    """Write an image to the stick, and give the stick to the DUT."""
    storage.host()
    with storage.wait_for_node().open("r+b") as stick:
        stick.write(image.read_bytes())
    storage.dut()
    storage.wait_until_gone()


def log_in(console: Console) -> None:
    """Wait for the login prompt and log in."""
    console.expect("login: ", LIMIT_S)
    console.sendline(USER)
    console.expect("Password: ", LIMIT_S)
    console.sendline(PASSWORD)
    console.expect(PROMPT, LIMIT_S)


def boot_and_log_in(board: Board) -> Console:
    """Switch the DUT on and log in; returns its console."""
    board.power.on()
    log_in(board.console)
    return board.console


def answer(console: Console, command: str) -> str:
    """Run a command on the DUT and return what it printed."""
    console.sendline(command)
    console.expect(re.escape(command) + r"\r\n", LIMIT_S)
    return console.expect(PROMPT, LIMIT_S).before.decode()


def comes_to_draw(power: Power, least_amps: float, most_amps: float) -> bool:
    """Whether the DUT comes to draw a current between these; a reading follows within two of its seconds."""
    return until(lambda: least_amps <= power.read().amps <= most_amps, LIMIT_S) is not None
