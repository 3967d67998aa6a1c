"""Waiting for words on the console, with pexpect's rules: the earliest match of several patterns counts."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from hil.dutlink.patterns.incremental_match import Needle, patterns_of
from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.console.byte_stream import ByteStream

__all__ = ["KEPT_BYTES", "Expected", "Expecter", "Pattern"]

Pattern: TypeAlias = str | bytes | re.Pattern[str] | re.Pattern[bytes]

KEPT_BYTES: Final = 4 * 1024 * 1024
"""How many bytes without a match are kept: some six minutes of a DUT that never pauses at 115200 baud."""

_LOOKS_BEHIND_ITS_END: Final = re.compile(rb"\$|\\[bBZ]|\(\?[=!(]")
"""In a pattern: how the match, or its groups, may hang on what follows it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What was waited for.

    Attributes:
        index: Which of the patterns came; 0 where there was only one.
        match: The match, in bytes.
        before: What came between the last match and this one, the newest 4 MiB of it.
    """

    index: int
    match: re.Match[bytes]
    before: bytes

    def group(self, number: int | str = 0) -> bytes:
        """One group of the match, or all of it; empty for a group that took no part."""
        return self.match.group(number) or b""

    def text(self, number: int | str = 0) -> str:
        """The same as text; what is no UTF-8 becomes U+FFFD."""
        return self.group(number).decode(errors="replace")


class Expecter:
    """Matches a stream of bytes. What was matched is consumed; what came behind it is kept.

    Args:
        stream: Where the bytes come from.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._unread = bytearray()

    def wait_for(self, pattern: Pattern | Sequence[Pattern], timeout_s: float) -> Expected | bytes:
        """Wait until a pattern comes.

        Returns:
            The match; or, when the time is over or the console went away, what came since the last one.
        """
        needles = [Needle(each) for each in patterns_of(pattern)]
        with self._stream.being_read():
            return self._wait_for(needles, Deadline(timeout_s))

    def unread(self) -> bytes:
        """What came and was not matched yet."""
        self._take(0)
        return bytes(self._unread)

    def forget(self) -> None:
        """Drop all that came and was not matched yet."""
        self._take(0)
        self._unread.clear()

    def _wait_for(self, needles: Sequence[Needle], deadline: Deadline) -> Expected | bytes:
        while True:
            self._take(0)
            found = self._search(needles)
            if found is not None:
                return found
            self._trim(needles)
            if deadline.passed or not self._take(deadline.left_s):
                return bytes(self._unread)

    def _take(self, limit_s: float) -> bool:
        """Add what came, waiting for it if nothing has; False if nothing came, or nothing will."""
        with contextlib.suppress(EOFError):  # whoever asks why knows it from the port
            data = self._stream.take(limit_s)
            self._unread += data
            return bool(data)
        return False

    def _search(self, needles: Sequence[Needle]) -> Expected | None:
        best: tuple[int, int, int] | None = None
        for index, each in enumerate(needles):
            span = each.search(self._unread, best[0] if best else None)
            if span is not None and (best is None or span[0] < best[0]):
                best = (*span, index)
        if best is None:
            return None
        begin, end, index = best
        match = _frozen_match(needles[index].pattern, self._unread, begin, end)
        del self._unread[:end]
        return Expected(index, match, match.string[:begin])

    def _trim(self, needles: Sequence[Needle]) -> None:
        """Drop the oldest of what is too much, once it is twice as much as is kept."""
        surplus = len(self._unread) - KEPT_BYTES
        if surplus > KEPT_BYTES:
            del self._unread[:surplus]
            for each in needles:
                each.forget(surplus)


def _frozen_match(pattern: re.Pattern[bytes], haystack: bytearray, begin: int, end: int) -> re.Match[bytes]:
    """Match again in bytes that do not change under the match; all of them if what follows may decide it."""
    last = len(haystack) if _LOOKS_BEHIND_ITS_END.search(pattern.pattern) else end
    match = pattern.match(bytes(memoryview(haystack)[:last]), begin)
    if match is None:  # pragma: no cover  # it was found here a moment ago
        raise AssertionError(pattern)
    return match
