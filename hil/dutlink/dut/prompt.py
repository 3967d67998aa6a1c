"""Detect a prompt of the DUT: a match counts only if no output follows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from hil.dutlink.dut.shell_escapes import ESCAPE, ESCAPES_AT_END
from hil.dutlink.patterns.incremental_match import compile_pattern, compile_patterns
from hil.dutlink.patterns.search import search, trust_pattern
from hil.dutlink.timing import Deadline, until
from hil.errors import ExpectError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.console.expect import Expected
    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["PROMPT", "DutConsole", "describe_prompt", "nothing_follows", "pattern_at_end", "wait_for_prompt"]

PROMPT: Final = rf"[#$]{ESCAPE.decode('ascii')}* "
"""The end of most shells' prompts, which may contain colours and other escape sequences."""

_PROMPT: Final = trust_pattern(compile_pattern(PROMPT))

_SETTLED_S: Final = 0.15
"""Twice the longest pause of the console's reader, in seconds."""

_PATIENCE_S: Final = 2.0
"""Seconds after which output that follows a prompt counts as the kernel's, not as the command's."""

_KERNEL: Final = re.compile(rb"\[ *[0-9]+\.[0-9]{6}\]")
"""The beginning of the kernel's messages."""

_GLOBAL_FLAGS: Final = re.compile(rb"\A\(\?[aiLmsux]+\)")
_SEQUENCES: Final = re.compile(ESCAPES_AT_END)
"""BusyBox asks for the cursor's position after each prompt; other shells mark its end by OSC 133."""


class DutConsole(Protocol):
    """The part of `Console` that this package uses."""

    @property
    def serial(self) -> str:
        """The board's serial number."""
        ...

    @property
    def dut_is_off(self) -> bool:
        """Whether the DUT was switched off through the board's object."""
        ...

    prompt: Pattern
    transcript: Transcript

    def sendline(self, line: bytes | str = b"") -> None:
        """Send a line."""
        ...

    def expect(self, pattern: Pattern | Sequence[Pattern], timeout_s: float = 30.0) -> Expected:
        """Wait until a pattern matches."""
        ...

    def unread(self) -> bytes:
        """Return the bytes that came and were not matched yet."""
        ...

    def discard(self) -> None:
        """Ignore the bytes that came so far."""
        ...


def describe_prompt(prompt: Pattern) -> str:
    """Return a prompt's pattern as the user wrote it, for messages."""
    if prompt == PROMPT:
        return "'# ' or '$ '"
    return repr(prompt.pattern if isinstance(prompt, re.Pattern) else prompt)


def pattern_at_end(prompt: Pattern) -> re.Pattern[bytes]:
    """Return a pattern that matches a prompt at the end of the output only."""
    (found,) = compile_patterns([prompt])
    source = _GLOBAL_FLAGS.sub(b"", found.pattern)  # they are in the flags, and are allowed at the start only
    end = b"\n" if found.flags & re.VERBOSE else b""  # of a comment
    ended = b"(?:%b%b)(?-x:%b)\\Z" % (source, end, _SEQUENCES.pattern)
    return trust_pattern(re.compile(ended, found.flags), like=found)


def nothing_follows(console: DutConsole) -> bool:
    """Return True if no output follows the last match for a moment."""
    return until(lambda: _SEQUENCES.fullmatch(console.unread()) is None, _SETTLED_S) is None


def wait_for_prompt(console: DutConsole, limit_s: float) -> None:
    """Wait for a prompt that no output follows.

    It is searched for at the end only, since each line of a long output may look like a prompt. If messages
    of the kernel follow it, or interrupt it, it counts after two seconds.

    Raises:
        ExpectError: No prompt came in time.
        UsageError: The prompt is not a pattern.
    """
    deadline, came = Deadline(limit_s), False
    (anywhere,), last = compile_patterns([console.prompt]), pattern_at_end(console.prompt)
    while True:
        before = len(console.unread())
        try:
            console.expect(last, min(_PATIENCE_S, deadline.left_s))
        except ExpectError:
            earlier, new = console.unread()[:before], console.unread()[before:]
            was_there = came or search(anywhere, earlier) is not None
            if was_there and search(anywhere, new) is None:
                return
            if not new and _KERNEL.search(earlier):
                return
            if deadline.passed:
                raise
            continue
        came = True
        if nothing_follows(console):
            return
