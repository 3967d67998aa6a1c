"""Decide that the DUT is up: by which pattern on its console, since when, and after how long it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.dut.login_questions import LOGIN_PROMPT
from hil.errors import BoardFaultError

if TYPE_CHECKING:
    from hil.dutlink.console.console import Console
    from hil.dutlink.console.expect import Expected
    from hil.dutlink.wiring import Wiring

__all__ = ["wait_until_up"]


def wait_until_up(console: Console, wiring: Wiring, begin: int, timeout_s: float | None) -> Expected:
    """Do what `Board.wait_until_up` does.

    Args:
        console: The DUT's console.
        wiring: Its surroundings, with `up` and `up_timeout_s`.
        begin: The position in the transcript at which the supply was last switched on.
        timeout_s: How long to wait, in seconds; None: `up_timeout_s`.
    """
    if console.dut_is_off:
        raise BoardFaultError(
            f"the DUT of board {console.serial} cannot come up",
            why="it is switched off",
            remedy="power.on()",
            serial=console.serial,
        )
    limit_s = wiring.up_timeout_s if timeout_s is None else timeout_s
    return console.wait_for_pattern(wiring.up or LOGIN_PROMPT, begin, limit_s)
