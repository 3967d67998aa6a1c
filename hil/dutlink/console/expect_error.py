"""The error of an `expect` that timed out: the pattern, the time, and the last line that came."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.sanitize import sanitize_bytes
from hil.dutlink.dut.login_questions import LOGIN_PROMPT
from hil.dutlink.dut.prompt import PROMPT, pattern_at_end
from hil.dutlink.patterns.search import search
from hil.errors import ExpectError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = [
    "DUT_IS_OFF",
    "LAST_BYTES",
    "PATTERN_ADVICE",
    "SWITCH_ON",
    "describe_last_line",
    "expect_timeout_error",
]

LAST_BYTES: Final = 4096
"""The newest bytes of a console, enough to show its last line."""

_LONGEST_LINE: Final = 60
_LONGEST_PATTERN: Final = 80
_SHOWN_PATTERNS: Final = 3
_PROMPTS_AT_END: Final = [pattern_at_end(prompt) for prompt in (PROMPT, LOGIN_PROMPT)]
_KNOWN: Final = {LOGIN_PROMPT: "login prompt", PROMPT: "shell prompt"}
_LEFT_IN_SHELL: Final = "console.restore_console_mode(), if the board was left in its shell"
DUT_IS_OFF: Final = "the DUT is switched off"
SWITCH_ON: Final = "power.on()"
_WAS_ON: Final = "power.cycle() boots a DUT that is on; power.on() does nothing to it"
_ASK_AGAIN: Final = (
    "console.sendline() for another prompt; or put the waits before p1: hil settings set power_on SEQUENCE"
)
_AT_PROMPT: Final = (
    "the DUT waits at a prompt; expect() searches what came after the last match, "
    "console.transcript has the rest"
)
_SILENT_AT_PROMPT: Final = f"{_AT_PROMPT}; power.cycle() boots it again"
_OTHER_OUTPUT: Final = (
    "compare the pattern, a regular expression, with what came after the last match; or allow more time"
)
PATTERN_ADVICE: Final = (_AT_PROMPT, _SILENT_AT_PROMPT, _OTHER_OUTPUT)
"""Advice for patterns of tests; `login` and `run` have their own."""


def expect_timeout_error(  # noqa: PLR0913 - what such an error tells
    pattern: Pattern | Sequence[Pattern],
    unmatched: bytes,
    before: bytes,
    *,
    seconds: float,
    serial: str,
    dut_is_off: bool,
    unheard: str,
    maybe_in_shell: bool,
) -> ExpectError:
    """Return the error of a wait that ended without a match.

    Args:
        pattern: The pattern, or several.
        unmatched: The bytes since the last match.
        before: The newest bytes of the console, matched or not.
        seconds: How long the wait took.
        serial: The board's serial number.
        dut_is_off: Whether the test switched the DUT off.
        unheard: A sentence if the DUT's first output is lost, and the match may have been in it; else empty.
        maybe_in_shell: Whether the board may be in its shell, where the DUT's output is dropped.
    """
    came = describe_last_line(serial, unmatched, before)
    if unheard:
        came = f"{came}; {unheard}"
    if maybe_in_shell:
        remedy = _LEFT_IN_SHELL
    elif unheard and not _waits_for_input(unmatched):
        remedy = _ASK_AGAIN
    elif _waits_for_input(unmatched if unmatched.strip() else before):
        remedy = _AT_PROMPT if unmatched.strip() else _SILENT_AT_PROMPT
    else:
        remedy = _OTHER_OUTPUT if unmatched.strip() else _WAS_ON
    return ExpectError(
        f"{_describe_missing(pattern)} within {seconds:.1f} s",
        why=f"{DUT_IS_OFF}; {came}" if dut_is_off else came,
        remedy=SWITCH_ON if dut_is_off else remedy,
        serial=serial,
    )


def _waits_for_input(said: bytes) -> bool:
    """Return True if output ends with the prompt of a shell or of a login."""
    return any(search(prompt, said[-LAST_BYTES:]) for prompt in _PROMPTS_AT_END)


def _describe_missing(pattern: Pattern | Sequence[Pattern]) -> str:
    """Say that a pattern did not come, or none of several."""
    several = [pattern] if isinstance(pattern, str | bytes | re.Pattern) else list(pattern)
    if len(several) == 1 and not isinstance(several[0], re.Pattern) and several[0] in _KNOWN:
        return f"no {_KNOWN[several[0]]} came"
    names = [repr(one.pattern if isinstance(one, re.Pattern) else one) for one in several[:_SHOWN_PATTERNS]]
    more = ["..."] if len(several) > _SHOWN_PATTERNS else []
    shown = " or ".join([name[:_LONGEST_PATTERN] for name in names] + more)
    return f"{shown} did not come"


def describe_last_line(serial: str, said: bytes, before: bytes = b"") -> str:
    """Describe the last line on a board's console.

    Args:
        serial: The board's serial number.
        said: The bytes that came.
        before: The bytes before them, whose last line is used if no bytes came.
    """
    if said.strip():
        return f"last line on board {serial}: '{_last_line(said)}'"
    if before.strip():
        return f"nothing came on board {serial} after '{_last_line(before)}'"
    return f"nothing came on board {serial}"


def _last_line(said: bytes) -> str:
    """Return the last line that is not blank, cut at its front."""
    line = sanitize_bytes(said.rstrip()[-LAST_BYTES:]).rstrip("\n").rpartition("\n")[2]
    return line if len(line) <= _LONGEST_LINE else f"...{line[3 - _LONGEST_LINE :]}"
