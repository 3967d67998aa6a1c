"""Search for a pattern in bytes that keep coming, without searching old bytes again and again.

Python's `re` cannot continue a search. Instead, parts of a pattern limit where a match can be: a pattern that
ends in a fixed text matches only if that text is among the new bytes, and a pattern that begins with a fixed
text matches only from its first occurrence on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from hil.dutlink.patterns.search import compile_user_pattern, search
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "WINDOW_BYTES",
    "IncrementalPattern",
    "Pattern",
    "compile_pattern",
    "compile_patterns",
    "fixed_end",
    "fixed_start",
]

Pattern: TypeAlias = str | bytes | re.Pattern[str] | re.Pattern[bytes]
"""A regular expression as a user gives it."""

WINDOW_BYTES: Final = 64 * 1024
"""How far before the new bytes a match may begin, if the pattern does not end in a fixed text."""

_SHOWN: Final = 80
_SPECIAL: Final = frozenset(b".^$*+?{}[]\\|()")
_REPEATS: Final = frozenset(b"*+?{")
_LOOKS_AROUND: Final = re.compile(rb"\(\?(?:[=!#(]|<[=!])")
_REWRITES: Final = re.IGNORECASE | re.VERBOSE


def compile_patterns(wanted: Pattern | Iterable[Pattern]) -> list[re.Pattern[bytes]]:
    """Compile one pattern or several.

    Raises:
        UsageError: A pattern is not a regular expression, or there is no pattern.
    """
    several = [wanted] if isinstance(wanted, str | bytes | re.Pattern) else wanted
    try:
        patterns = [compile_pattern(each) for each in several]
    except TypeError:
        raise _no_pattern(
            wanted, "a pattern is text, bytes, what re.compile makes of them, or a list"
        ) from None
    except ValueError as error:
        raise _no_pattern(wanted, str(error)) from None
    if not patterns:
        raise _no_pattern(wanted, "there is no pattern in it")
    return patterns


def _no_pattern(wanted: object, why: str) -> UsageError:
    return UsageError(
        f"the console cannot wait for {repr(wanted)[:_SHOWN]}",
        why=why,
        remedy="re.escape(text) makes a pattern of text that is meant literally",
    )


def compile_pattern(pattern: Pattern) -> re.Pattern[bytes]:
    """Compile a pattern for bytes.

    Text becomes UTF-8, and `.` matches line ends. A pattern that is compiled already keeps its flags.

    Raises:
        ValueError: The pattern is not a regular expression.
        TypeError: The pattern is neither text nor bytes nor a compiled pattern.
    """
    if not isinstance(pattern, re.Pattern):
        return compile_user_pattern(pattern, re.DOTALL)
    return compile_user_pattern(pattern.pattern, pattern.flags & ~re.UNICODE)


def fixed_start(pattern: re.Pattern[bytes]) -> bytes:
    """Return the fixed bytes that every match begins with, or no bytes if there are none."""
    source = pattern.pattern
    if b"|" in source or pattern.flags & _REWRITES:
        return b""
    length = next((at for at, byte in enumerate(source) if byte in _SPECIAL), len(source))
    if length < len(source) and source[length] in _REPEATS:
        length -= 1
    return source[: max(0, length)]


def fixed_end(pattern: re.Pattern[bytes]) -> bytes:
    """Return the fixed bytes that every match ends with, or no bytes if there are none."""
    source = pattern.pattern
    if b"|" in source or pattern.flags & _REWRITES or _LOOKS_AROUND.search(source):
        return b""
    begin = next((at + 1 for at in reversed(range(len(source))) if source[at] in _SPECIAL), 0)
    if begin and source[begin - 1] == ord("\\"):
        odd = not source[
            begin : begin + 1
        ].isalnum()  # \- stands for one byte, -; \x41 stands for another one, A
        return source[begin:] if odd else b""
    return source[begin:]


class IncrementalPattern:
    """A pattern that is searched for in growing bytes; it finds what `re.search` would find in all of them.

    Args:
        pattern: The pattern.
    """

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self._start = fixed_start(pattern)
        self._end = fixed_end(pattern)
        self._may_begin = 0
        self._seen = 0

    def search(self, haystack: bytearray, begins_by: int | None = None) -> tuple[int, int] | None:
        """Return where the first match begins and ends. Since the last call the haystack may only have grown.

        Args:
            haystack: All bytes.
            begins_by: A match that begins after this position need not be found, now or later.

        Raises:
            UsageError: The search takes more than a second.
        """
        seen, self._seen = self._seen, len(haystack)
        if self._start and not self._find_start(haystack, begins_by):
            return None
        if self._end:
            if haystack.find(self._end, max(0, seen - len(self._end) + 1)) < 0:
                return None
            begin = self._may_begin
        else:
            begin = max(self._may_begin, seen - WINDOW_BYTES)
        return search(self.pattern, haystack, begin)

    def drop_front(self, size_bytes: int) -> None:
        """Take into account that the haystack lost so many bytes at its front."""
        self._seen = max(0, self._seen - size_bytes)
        self._may_begin = max(0, self._may_begin - size_bytes)

    def _find_start(self, haystack: bytearray, begins_by: int | None) -> bool:
        """Move `_may_begin` to the first occurrence of the fixed start; return False if there is none."""
        end = len(haystack) if begins_by is None else begins_by + len(self._start)
        where = haystack.find(self._start, self._may_begin, end)
        overlap = len(self._start) - 1
        self._may_begin = where if where >= 0 else max(self._may_begin, len(haystack) - overlap)
        return where >= 0
