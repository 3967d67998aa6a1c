"""What an error says of words that did not come: what was awaited, for how long, what came instead."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import TYPE_CHECKING, Final

from hil.dutlink.plain_text import last_lines
from hil.errors import ExpectError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.expecting import Pattern

__all__ = ["LAST_BYTES", "Waited"]

LAST_BYTES: Final = 4096
"""How much is enough to tell what came last."""

_SHOWN_LINES: Final = 5
_LEFT_IN_SHELL: Final = "console.restore_console_mode(), if the board was left in its shell"
_WAS_ON: Final = "power.cycle() boots it anew: power.on() does nothing to a DUT that is on"


@dataclass(frozen=True, slots=True)
class Waited:
    """A wait that is over.

    Attributes:
        pattern: What was awaited.
        seconds: For how long.
        serial: The board's serial number.
    """

    pattern: Pattern | Sequence[Pattern]
    seconds: float
    serial: str

    def in_vain(self, unmatched: bytes, before: bytes, *, maybe_in_shell: bool) -> ExpectError:
        """Return the error.

        Args:
            unmatched: What came since the last match.
            before: What the console said last, matched or not.
            maybe_in_shell: Whether the board may be in its shell, where the DUT is not heard.
        """
        where = f"on the console of board {self.serial}"
        return ExpectError(
            f"{self.pattern!r} did not come {where} within {self.seconds:.1f} s",
            why=_last_words(unmatched, before),
            remedy=_LEFT_IN_SHELL if maybe_in_shell else "" if unmatched.strip() else _WAS_ON,
            serial=self.serial,
        )


def _last_words(unmatched: bytes, before: bytes) -> str:
    """Tell what came last: since the last match, or before that where nothing did."""
    shown = indent(last_lines(unmatched or before, _SHOWN_LINES), "    ")
    if unmatched:
        return f"last came\n{shown}"
    return f"nothing came; before that came\n{shown}" if before else "nothing came"
