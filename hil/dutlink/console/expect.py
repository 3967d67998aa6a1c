"""Wait for patterns in what a console prints.

`Expecter` takes the bytes of a stream, by pexpect's rules: of several patterns the earliest match counts.
`wait_for_pattern` looks into the transcript, and leaves the bytes to `expect` and `login`.
"""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.patterns.incremental_match import IncrementalPattern, compile_patterns
from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.dutlink.console.queues import ByteStream
    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["KEPT_BYTES", "Expected", "Expecter", "wait_for_pattern"]

KEPT_BYTES: Final = 4 * 1024 * 1024
"""The most bytes without a match that are kept: six minutes of a DUT that never pauses at 115200 baud."""

_LOOKS_BEHIND_ITS_END: Final = re.compile(rb"\$|\\[bBZ]|\(\?[=!(]")
"""The parts of a pattern by which its match, or its groups, may depend on the bytes after it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The match that a wait found.

    Attributes:
        index: The index of the pattern that matched; 0 if there was only one.
        match: The match, in bytes.
        before: The bytes between the previous match and this one; the newest 4 MiB of them.
    """

    index: int
    match: re.Match[bytes]
    before: bytes

    def group(self, number: int | str = 0) -> bytes:
        """Return a group of the match, or the whole match; empty for a group that did not take part."""
        return self.match.group(number) or b""

    def text(self, number: int | str = 0) -> str:
        """Return the same as text, with U+FFFD for bytes that are not UTF-8."""
        return self.group(number).decode(errors="replace")


class Expecter:
    """Match patterns against a stream. A match consumes the bytes up to its end; later bytes are kept.

    Args:
        stream: The source of the bytes.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._unread = bytearray()

    def wait_for(self, pattern: Pattern | Sequence[Pattern], timeout_s: float) -> Expected | bytes:
        """Wait until a pattern matches.

        Returns:
            The match; or the bytes since the last match if the time is over or the console went away.
        """
        patterns = [IncrementalPattern(each) for each in compile_patterns(pattern)]
        with self._stream.being_read():
            return self._wait_for(patterns, Deadline(timeout_s))

    def unread(self) -> bytes:
        """Return the bytes that came and were not matched yet."""
        self._take(0)
        return bytes(self._unread)

    def discard(self) -> None:
        """Drop the bytes that came and were not matched yet."""
        self._take(0)
        self._unread.clear()

    def _wait_for(self, patterns: Sequence[IncrementalPattern], deadline: Deadline) -> Expected | bytes:
        while True:
            self._take(0)
            found = self._search(patterns)
            if found is not None:
                return found
            _trim(self._unread, patterns)
            if deadline.passed or not self._take(deadline.left_s):
                return bytes(self._unread)

    def _take(self, limit_s: float) -> bool:
        """Add the bytes that came, waiting for the first one; return False if there were none."""
        with contextlib.suppress(EOFError):  # the port has the error
            data = self._stream.take(limit_s)
            self._unread += data
            return bool(data)
        return False

    def _search(self, patterns: Sequence[IncrementalPattern]) -> Expected | None:
        best: tuple[int, int, int] | None = None
        for index, each in enumerate(patterns):
            span = each.search(self._unread, best[0] if best else None)
            if span is not None and (best is None or span[0] < best[0]):
                best = (*span, index)
        if best is None:
            return None
        begin, end, index = best
        match = _frozen_match(patterns[index].pattern, self._unread, begin, end)
        del self._unread[:end]
        return Expected(index, match, match.string[:begin])


_LOOK_EVERY_S: Final = 0.5
"""How often to check whether the console is still there, in seconds."""

QUIET_S: Final = 2.0
"""Seconds after which a silent DUT may wait at a prompt."""


def wait_for_pattern(  # noqa: PLR0913 - what ends such a wait
    transcript: Transcript,
    begin: int,
    pattern: Pattern,
    timeout_s: float,
    gone: Callable[[], bool],
    *,
    check_silent: Callable[[], None],
) -> Expected | bytes:
    """Wait for a pattern in the bytes since a position of the transcript.

    Args:
        transcript: The transcript of an open console.
        begin: The position.
        pattern: The pattern.
        timeout_s: How long to wait, in seconds.
        gone: Returns True if no more bytes will come.
        check_silent: Called while the DUT is silent; raises an error if it waits for a person.

    Returns:
        The match; or all bytes since the position if the time is over or the console went away.
    """
    has_news = threading.Event()
    end = transcript.listen(lambda _event: has_news.set())
    (compiled,), haystack, deadline = compile_patterns(pattern), bytearray(), Deadline(timeout_s)
    incremental, quiet = IncrementalPattern(compiled), Deadline(QUIET_S)
    try:
        while True:
            has_news.clear()
            last = gone() or deadline.passed
            for chunk in transcript.chunks_between(begin):
                haystack += chunk.data
                begin, quiet = chunk.end, Deadline(QUIET_S)
            if span := incremental.search(haystack):
                match = _frozen_match(compiled, haystack, *span)
                return Expected(0, match, match.string[: span[0]])
            if last:
                return bytes(haystack)
            if quiet.passed:
                check_silent()
                quiet = Deadline(QUIET_S)
            _trim(haystack, [incremental])
            has_news.wait(min(_LOOK_EVERY_S, deadline.left_s))
    finally:
        end()


def _trim(haystack: bytearray, patterns: Sequence[IncrementalPattern]) -> None:
    """Drop the oldest bytes once there are twice as many as are kept."""
    surplus = len(haystack) - KEPT_BYTES
    if surplus > KEPT_BYTES:
        del haystack[:surplus]
        for each in patterns:
            each.drop_front(surplus)


def _frozen_match(pattern: re.Pattern[bytes], haystack: bytearray, begin: int, end: int) -> re.Match[bytes]:
    """Match again in an immutable copy: of the match alone, or of all bytes if later ones may decide it."""
    last = len(haystack) if _LOOKS_BEHIND_ITS_END.search(pattern.pattern) else end
    match = pattern.match(bytes(memoryview(haystack)[:last]), begin)
    if match is None:  # pragma: no cover  # it was found here a moment ago
        raise AssertionError(pattern)
    return match
