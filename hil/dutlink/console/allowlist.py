"""What a test says it expects of its DUT's troubles: a panic that is provoked is none that fails the test."""

from __future__ import annotations

import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.sanitize import plain
from hil.dutlink.patterns.search import compile_user_pattern, search
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hil.dutlink.console.transcript import Transcript

__all__ = ["ExpectedTrouble", "Finding", "patterns_of_words", "says"]

_KEPT: Final = 1000
_MATCH_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """Trouble that the console showed.

    Attributes:
        name: Which kind: `kernel panic`, or the pattern of the lab file.
        pattern: How it was found.
        line: The line it stood in, safe to show.
        position: Where in the transcript, in bytes.
        time_s: When, in seconds since 1970.
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


class ExpectedTrouble:
    """Remembers what `expect` matched, and the blocks in which trouble is announced.

    Args:
        transcript: Tells where in the console's bytes we are.
    """

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._matches: deque[tuple[re.Pattern[bytes], bytes]] = deque(maxlen=_KEPT)
        self._blocks: list[_Block] = []

    def forget(self) -> None:
        """Begin anew: the next test expects nothing yet."""
        self._matches.clear()
        self._blocks.clear()

    def matched(self, match: re.Match[bytes]) -> None:
        """Take note of what was waited for, and came."""
        self._matches.append((match.re, match.group()[-_MATCH_BYTES:]))

    @contextmanager
    def announced(self, words: tuple[str, ...]) -> Iterator[None]:
        """Expect trouble that says one of `words` (see `says`) while the block runs.

        Raises:
            UsageError: A word is no regular expression.
        """
        block = _Block(patterns_of_words(words, "expecting_trouble"), self._transcript.position)
        self._blocks.append(block)
        try:
            yield
        finally:
            block.end = self._transcript.position

    def excuses(self, finding: Finding) -> bool:
        """Whether the test expected this."""
        return any(self._has_announced(block, finding) for block in self._blocks) or any(
            _was_waited_for(pattern, match, finding) for pattern, match in self._matches
        )

    @staticmethod
    def _has_announced(block: _Block, finding: Finding) -> bool:
        inside = block.begin <= finding.position and (block.end is None or finding.position < block.end)
        return inside and says(block.patterns, finding)


def patterns_of_words(words: Iterable[str], taker: str) -> list[re.Pattern[bytes]]:
    """Compile words by which a test names trouble that it expects; they match in any case of letters.

    Args:
        words: Regular expressions.
        taker: What they were given to, for the error.

    Raises:
        UsageError: A word is no regular expression.
    """
    patterns = []
    for word in words:
        try:
            patterns.append(compile_user_pattern(word, re.IGNORECASE))
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{taker} cannot look for {word!r:.80}",
                why=str(error) if isinstance(error, ValueError) else "it takes words, which are text",
                remedy="re.escape(text) makes a pattern of text that is meant literally",
            ) from None
    return patterns


def says(patterns: Sequence[re.Pattern[bytes]], finding: Finding) -> bool:
    """Whether a finding is of the kind that one of the patterns names.

    A pattern is looked for in the kind's name and in the line; no pattern at all stands for any trouble.

    Raises:
        UsageError: A pattern takes more than a second.
    """
    texts = (finding.name.encode(), finding.line.encode())
    return not patterns or any(search(pattern, text) for pattern in patterns for text in texts)


def _was_waited_for(pattern: re.Pattern[bytes], match: bytes, finding: Finding) -> bool:
    """Whether a test waited for such trouble: what only lay on the way to something else does not count."""
    said = plain(match).encode()
    if search(finding.pattern, said) and search(finding.pattern, pattern.pattern):
        return True
    line = finding.line.encode()
    trouble = search(finding.pattern, line)
    if trouble is None:
        return False
    for ended in (line, line + b"\r\n", line + b"\n"):  # whoever waits for a line may wait for its end, too
        begin, end = search(pattern, ended) or (0, 0)
        if begin == end or plain(ended[begin:end]).encode() not in said:
            continue
        if begin < trouble[1] and trouble[0] < end:
            return True
    return False
