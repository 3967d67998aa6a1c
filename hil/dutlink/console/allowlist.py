"""The errors of a DUT that a test allows: a kernel panic that the test provokes does not fail it.

A test allows an error by a block (`Console.allow_errors`), by a marker, or by waiting for its words with
`expect`.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.sanitize import sanitize_bytes
from hil.dutlink.patterns.search import compile_user_pattern, search
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hil.dutlink.console.transcript import Transcript

__all__ = ["ErrorAllowlist", "ErrorLine", "compile_error_patterns", "names_error"]

_KEPT: Final = 1000
_MATCH_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """A line on the console that tells of an error.

    Attributes:
        name: The kind of error: `kernel panic`, or a pattern of the lab file.
        pattern: The pattern that found it.
        line: The line, safe to show.
        position: Its position in the transcript, in bytes.
        time_s: When it came, in seconds since 1970.
    """

    name: str
    pattern: re.Pattern[bytes]
    line: str
    position: int
    time_s: float


@dataclass(slots=True)
class _Block:
    patterns: list[re.Pattern[bytes]]
    begin: int
    end: int | None = None


class ErrorAllowlist:
    """The errors that the present test allows.

    Args:
        transcript: The console's, for positions.
    """

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._matches: deque[tuple[re.Pattern[bytes], bytes]] = deque(maxlen=_KEPT)
        self._blocks: list[_Block] = []

    def clear(self) -> None:
        """Allow nothing any more: the next test begins."""
        self._matches.clear()
        self._blocks.clear()

    def add_match(self, match: re.Match[bytes]) -> None:
        """Allow the error that an `expect` waited for and matched."""
        self._matches.append((match.re, match.group()[-_MATCH_BYTES:]))

    @contextmanager
    def allow(self, words: tuple[str, ...]) -> Iterator[None]:
        """Allow errors that one of `words` names (see `names_error`) while the block runs.

        Raises:
            UsageError: A word is no regular expression.
        """
        block = _Block(compile_error_patterns(words, "allow_errors"), self._transcript.position)
        self._blocks.append(block)
        try:
            yield
        finally:
            block.end = self._transcript.position

    def allows(self, error: ErrorLine) -> bool:
        """Return True if the test allows this error."""
        return any(_is_in_block(block, error) for block in self._blocks) or any(
            _was_waited_for(pattern, match, error) for pattern, match in self._matches
        )


def compile_error_patterns(words: Iterable[str], caller: str) -> list[re.Pattern[bytes]]:
    """Compile the words by which a test names the errors that it allows; the case of letters does not count.

    Args:
        words: Regular expressions.
        caller: The name of the function or marker that got them, for the error.

    Raises:
        UsageError: A word is no regular expression.
    """
    patterns = []
    for word in words:
        try:
            patterns.append(compile_user_pattern(word, re.IGNORECASE))
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{caller} cannot look for {word!r:.80}",
                why=str(error) if isinstance(error, ValueError) else "it takes words, which are text",
                remedy="re.escape(text) makes a pattern of text that is meant literally",
            ) from None
    return patterns


def names_error(patterns: Sequence[re.Pattern[bytes]], error: ErrorLine) -> bool:
    """Return True if one of the patterns matches the error's name or line, or if there is no pattern.

    Raises:
        UsageError: A pattern takes more than a second.
    """
    texts = (error.name.encode(), error.line.encode())
    return not patterns or any(search(pattern, text) for pattern in patterns for text in texts)


def _is_in_block(block: _Block, error: ErrorLine) -> bool:
    inside = block.begin <= error.position and (block.end is None or error.position < block.end)
    return inside and names_error(block.patterns, error)


def _was_waited_for(pattern: re.Pattern[bytes], match: bytes, error: ErrorLine) -> bool:
    """Return True if a test waited for this error, not only for words that came after it."""
    said = sanitize_bytes(match).encode()
    if search(error.pattern, said) and search(error.pattern, pattern.pattern):
        return True
    line = error.line.encode()
    found = search(error.pattern, line)
    if found is None:
        return False
    for ended in (line, line + b"\r\n", line + b"\n"):  # the test's pattern may include the line's end
        begin, end = search(pattern, ended) or (0, 0)
        if begin == end or sanitize_bytes(ended[begin:end]).encode() not in said:
            continue
        if begin < found[1] and found[0] < end:
            return True
    return False
