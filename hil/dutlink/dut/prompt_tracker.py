"""Track the prompt that the DUT's shell shows, which need not match the console's pattern."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from hil.dutlink.dut.prompt import describe_prompt, pattern_at_end
from hil.dutlink.dut.shell_escapes import calls_editor, last_line
from hil.dutlink.patterns.incremental_match import compile_patterns
from hil.dutlink.patterns.search import search
from hil.errors import ExpectError

if TYPE_CHECKING:
    from hil.dutlink.dut.prompt import DutConsole
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["PromptTracker"]

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
    """The prompt at one console.

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
