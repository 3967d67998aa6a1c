"""The DUT waits for an answer: told from output that only looks like it, because nothing follows it."""

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
"""The end of most shells' prompts, with colours and other marks in it."""

_PROMPT: Final = trust_pattern(compile_pattern(PROMPT))

_SETTLED_S: Final = 0.15
"""Twice as long as the console's reader lets bytes gather."""

_PATIENCE_S: Final = 2.0
"""How long what follows a prompt may go on before it is taken for the kernel's words, not the command's."""

_KERNEL: Final = re.compile(rb"\[ *[0-9]+\.[0-9]{6}\]")
"""How a kernel's messages begin."""

_GLOBAL_FLAGS: Final = re.compile(rb"\A\(\?[aiLmsux]+\)")
_SEQUENCES: Final = re.compile(ESCAPES_AT_END)
"""BusyBox asks the terminal for its cursor after each prompt, others mark the prompt's end by OSC 133."""


class DutConsole(Protocol):
    """What is needed of a console."""

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
        """Wait for words."""
        ...

    def unread(self) -> bytes:
        """What came and was not matched yet."""
        ...

    def discard(self) -> None:
        """Forget what came."""
        ...


def describe_prompt(prompt: Pattern) -> str:
    """Return a prompt's pattern as the user typed it, for messages."""
    if prompt == PROMPT:
        return "'# ' or '$ '"
    return repr(prompt.pattern if isinstance(prompt, re.Pattern) else prompt)


def pattern_at_end(prompt: Pattern) -> re.Pattern[bytes]:
    """Make a pattern of a prompt's that matches at the end of what came only."""
    (found,) = compile_patterns([prompt])
    source = _GLOBAL_FLAGS.sub(b"", found.pattern)  # they are in the flags, and may stand at the start only
    end = b"\n" if found.flags & re.VERBOSE else b""  # of a comment
    ended = b"(?:%b%b)(?-x:%b)\\Z" % (source, end, _SEQUENCES.pattern)
    return trust_pattern(re.compile(ended, found.flags), like=found)


def nothing_follows(console: DutConsole) -> bool:
    """Whether what was matched last is the last that came, and stays that for a moment."""
    return until(lambda: _SEQUENCES.fullmatch(console.unread()) is None, _SETTLED_S) is None


def wait_for_prompt(console: DutConsole, limit_s: float) -> None:
    """Wait for a prompt that nothing follows.

    Only at the end is it looked for: of a long output each line may look like one. Where the kernel goes on
    talking behind it, or has cut it in two, it counts after two seconds.

    Raises:
        ExpectError: None came in time.
        UsageError: The prompt is no pattern.
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
