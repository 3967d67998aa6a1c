"""The error of a wait that ended without a match: what was awaited, for how long, what came last."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.sanitize import last_lines
from hil.dutlink.dut.login_questions import LOGIN_PROMPT
from hil.dutlink.dut.prompt import PROMPT
from hil.errors import ExpectError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.console.expect import Pattern

__all__ = ["DUT_IS_OFF", "LAST_BYTES", "SWITCH_ON", "Waited", "last_line_of", "pattern_words"]

LAST_BYTES: Final = 4096
"""How much is enough to tell what came last."""

_LONGEST_LINE: Final = 60
_LONGEST_PATTERN: Final = 80
_SHOWN_PATTERNS: Final = 3
_KNOWN: Final = {LOGIN_PROMPT: "login prompt", PROMPT: "shell prompt"}
_LEFT_IN_SHELL: Final = "console.restore_console_mode(), if the board was left in its shell"
DUT_IS_OFF: Final = "the DUT is switched off"
SWITCH_ON: Final = "power.on()"
_WAS_ON: Final = "power.cycle() boots a DUT that is on; power.on() does nothing to it"


@dataclass(frozen=True, slots=True)
class Waited:
    """A wait that is over.

    Attributes:
        pattern: What was awaited.
        seconds: For how long.
        serial: The board's serial number.
        dut_is_off: Whether the DUT was switched off by its user.
    """

    pattern: Pattern | Sequence[Pattern]
    seconds: float
    serial: str
    dut_is_off: bool = False

    def in_vain(self, unmatched: bytes, before: bytes, *, maybe_in_shell: bool) -> ExpectError:
        """Return the error.

        Args:
            unmatched: What came since the last match.
            before: What the console said last, matched or not.
            maybe_in_shell: Whether the board may be in its shell, where the DUT is not heard.
        """
        came = last_line_of(self.serial, unmatched, before)
        remedy = _LEFT_IN_SHELL if maybe_in_shell else "" if unmatched.strip() else _WAS_ON
        return ExpectError(
            f"{pattern_words(self.pattern)} within {self.seconds:.1f} s",
            why=f"{DUT_IS_OFF}; {came}" if self.dut_is_off else came,
            remedy=SWITCH_ON if self.dut_is_off else remedy,
            serial=self.serial,
        )


def pattern_words(pattern: Pattern | Sequence[Pattern]) -> str:
    """Say that a pattern, or none of several, came."""
    several = [pattern] if isinstance(pattern, str | bytes | re.Pattern) else list(pattern)
    if len(several) == 1 and not isinstance(several[0], re.Pattern) and several[0] in _KNOWN:
        return f"no {_KNOWN[several[0]]} came"
    names = [repr(one.pattern if isinstance(one, re.Pattern) else one) for one in several[:_SHOWN_PATTERNS]]
    more = ["..."] if len(several) > _SHOWN_PATTERNS else []
    shown = " or ".join([name[:_LONGEST_PATTERN] for name in names] + more)
    return f"{shown} did not come"


def last_line_of(serial: str, said: bytes, before: bytes = b"") -> str:
    """Return the words that tell the last line on a board's console.

    Args:
        serial: The board's serial number.
        said: What came.
        before: What came before that; told where nothing else came.
    """
    if said.strip():
        return f"last line on board {serial}: '{last_lines(said.rstrip(), 1, _LONGEST_LINE)}'"
    if before.strip():
        return f"nothing came on board {serial} after '{last_lines(before.rstrip(), 1, _LONGEST_LINE)}'"
    return f"nothing came on board {serial}"
