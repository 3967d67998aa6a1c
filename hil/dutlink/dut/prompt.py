"""Detect a prompt of the DUT: a match counts only if no output follows it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from hil.dutlink.dut.shell_escapes import ESCAPE, ESCAPES_AT_END, KERNEL_TIME, calls_editor, last_line
from hil.dutlink.patterns.incremental_match import compile_pattern, compile_patterns
from hil.dutlink.patterns.search import search, trust_pattern
from hil.dutlink.timing import Deadline, until
from hil.errors import ExpectError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.console.expect import Expected
    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.dut.account import Secret
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = [
    "PROMPT",
    "DutConsole",
    "PromptTracker",
    "StickState",
    "describe_prompt",
    "nothing_follows",
    "pattern_at_end",
    "wait_for_prompt",
]

PROMPT: Final = rf"[#$]{ESCAPE.decode('ascii')}* "
"""The end of most shells' prompts, which may contain colours and other escape sequences."""

_PROMPT: Final = trust_pattern(compile_pattern(PROMPT))

_SETTLED_S: Final = 0.15
"""Twice the longest pause of the console's reader, in seconds."""

_PATIENCE_S: Final = 2.0
"""Seconds after which output that follows a prompt counts as the kernel's, not as the command's."""

_GLOBAL_FLAGS: Final = re.compile(rb"\A\(\?[aiLmsux]+\)")
_KERNEL_TIME: Final = re.compile(KERNEL_TIME)
_SEQUENCES: Final = re.compile(ESCAPES_AT_END)
"""BusyBox asks for the cursor's position after each prompt; other shells mark its end by OSC 133."""


@dataclass(frozen=True, slots=True)
class StickState:
    """What the board's object knows of the stick that the DUT boots from.

    Attributes:
        position: The storage position that was set last; empty if it is unknown.
        image: The image that was flashed and verified last; empty if there is none.
    """

    position: str = ""
    image: str = ""


class DutConsole(Protocol):
    """The part of `Console` that this package uses."""

    @property
    def serial(self) -> str:
        """The board's serial number."""
        ...

    @property
    def stick(self) -> StickState:
        """What is known of the stick that the DUT boots from."""
        ...

    @property
    def dut_is_off(self) -> bool:
        """Whether the DUT was switched off through the board's object."""
        ...

    prompt: Pattern
    transcript: Transcript

    def sendline(self, line: bytes | str | Secret = b"") -> None:
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
            if not new and _KERNEL_TIME.search(earlier):
                return
            if deadline.passed:
                raise
            continue
        came = True
        if nothing_follows(console):
            return


logger = logging.getLogger(__name__)

_LIMIT_S: Final = 0.3
"""Seconds to wait for the prompt after a command, whose result is complete without it."""

_MISSES: Final = 2
"""The number of prompts that may not match before no more are waited for."""

_LOOKED_AT_BYTES: Final = 512
_ENDING: Final = re.compile(r"[^\w\s]\s*\Z")
"""A prompt's last character, unless it is a letter or digit, which may change from prompt to prompt."""

_ANY_SHELL: Final = pattern_at_end("(?:[#$%>]|\u276f|\u00bb|\u03bb) ?")


class PromptTracker:
    """The prompt that the shell at one console shows, which need not match the console's pattern.

    Attributes:
        last_line: The last line on the console before the last command was typed.
        unfinished: The words of marked lines (`MarkedCommand.word`) whose end mark has not come.
    """

    def __init__(self) -> None:
        self.last_line = b""
        self.unfinished: list[str] = []
        self._pattern: Pattern | None = None
        self._misses = 0
        self._ending: bytes | None = None
        self._without_marks: bytes | None = None
        self._csh: bytes | None = None

    def forget(self) -> None:
        """Forget everything, because another shell may be there now."""
        self.__init__()  # type: ignore[misc]

    def observe(self, console: DutConsole) -> None:
        """Read the prompt before a command is typed."""
        compile_patterns([console.prompt])  # raises UsageError for a pattern that cannot be used
        if console.prompt is not self._pattern:
            self.forget()
            self._pattern = console.prompt
        transcript = console.transcript
        self.last_line = last_line(transcript.between(transcript.position - _LOOKED_AT_BYTES))
        self._ending = _ending(self.last_line) or self._ending

    @property
    def lacks_marks(self) -> bool:
        """Whether the shell with this prompt cannot print marks."""
        return self._without_marks is not None and self._without_marks == self.last_line

    @lacks_marks.setter
    def lacks_marks(self, lacks: bool) -> None:
        self._without_marks = self.last_line if lacks else None

    @property
    def is_csh(self) -> bool:
        """Whether the shell with this prompt is csh or tcsh."""
        return self._csh is not None and self._csh == self.last_line

    @is_csh.setter
    def is_csh(self, is_csh: bool) -> None:
        self._csh = self.last_line if is_csh else None

    def is_at_end(self, console: DutConsole, *, maybe: bool = False) -> bool:
        """Return True if the unread bytes end in the prompt.

        Args:
            console: The console.
            maybe: Whether a line that ends like most shells' prompts counts too.
        """
        unread = console.unread()[-_LOOKED_AT_BYTES:]
        endings = self._endings(console) + [_ANY_SHELL] * maybe
        return calls_editor(unread) or any(search(each, unread) for each in endings)

    def consume(self, console: DutConsole) -> bytes:
        """Consume the prompt after a command, if it comes soon, and return it with the bytes before it.

        If the pattern does not match the end of the prompt, one warning is logged, and the prompt's last
        character is used instead. If that changes too, prompts are no longer waited for.
        """
        if self._misses >= _MISSES:
            return b""
        try:
            came = console.expect(self._endings(console), _LIMIT_S)
        except ExpectError:
            self._learn(console)
            return b""
        return came.before + came.group()

    def strip_from(self, output: bytes, prompt: bytes) -> bytes:
        """Return an output that has no end mark, without the prompt after it.

        Args:
            output: The command's output and the prompt after it.
            prompt: The next prompt, with the bytes before it.
        """
        shown_next = prompt.lstrip(b"\r\n")
        if shown_next:
            before, found, _ = output.rpartition(shown_next)
            if found:
                return before
        line = output.rfind(b"\n") + 1
        return output[:line]

    def _endings(self, console: DutConsole) -> list[re.Pattern[bytes]]:
        endings = [pattern_at_end(console.prompt)]
        if self._ending is not None:
            endings.append(pattern_at_end(re.escape(self._ending)))
        return endings

    def _learn(self, console: DutConsole) -> None:
        unread = console.unread()
        line = last_line(unread)
        if not line.strip():
            return  # the prompt is late, or a kernel message follows it
        self._misses += 1
        ending = _ending(line)
        if ending is not None and ending != self._ending:
            self._ending = ending
            self._misses = min(self._misses, 1)
        if self._misses == 1:
            self._warn(console, line)

    def _warn(self, console: DutConsole, line: bytes) -> None:
        text = (
            f"console.prompt = {describe_prompt(console.prompt)} does not match the end of the prompt "
            f"that the DUT shows, {line.decode(errors='replace')!r}: run() does without it"
        )
        console.transcript.mark(text)
        logger.warning("board %s: %s", console.serial, text)


def _ending(line: bytes) -> bytes | None:
    found = _ENDING.search(line.decode(errors="ignore"))
    return found.group().encode() if found else None
