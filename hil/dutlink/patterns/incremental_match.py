"""Looking for a pattern in bytes that keep coming, without looking at the old ones again and again.

Python's `re` cannot go on where it stopped. So it is told where it need not begin: a fixed text can only be
new where new bytes are; a pattern that ends in a fixed text can only match when that text came; and one that
begins with a fixed text can only match from there on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hil.dutlink.patterns.search import compile_user_pattern, search
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.dutlink.console.expect import Pattern

__all__ = ["WINDOW_BYTES", "Needle", "compiled", "fixed_end", "fixed_start", "patterns_of"]

WINDOW_BYTES: Final = 64 * 1024
"""How far before the newest bytes the match of a pattern may begin whose end is not fixed."""

_SHOWN: Final = 80
_SPECIAL: Final = frozenset(b".^$*+?{}[]\\|()")
_REPEATS: Final = frozenset(b"*+?{")
_LOOKS_AROUND: Final = re.compile(rb"\(\?(?:[=!#(]|<[=!])")
_REWRITES: Final = re.IGNORECASE | re.VERBOSE


def patterns_of(wanted: Pattern | Iterable[Pattern]) -> list[re.Pattern[bytes]]:
    """Compile one pattern, or several.

    Raises:
        UsageError: It is no pattern, or no regular expression, or there is none.
    """
    several = [wanted] if isinstance(wanted, str | bytes | re.Pattern) else wanted
    try:
        patterns = [compiled(each) for each in several]
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


def compiled(pattern: Pattern) -> re.Pattern[bytes]:
    """Compile for bytes: text as UTF-8, `.` takes line ends too; what is compiled keeps its flags.

    Raises:
        ValueError: It is no regular expression.
        TypeError: It is no pattern at all.
    """
    if not isinstance(pattern, re.Pattern):
        return compile_user_pattern(pattern, re.DOTALL)
    return compile_user_pattern(pattern.pattern, pattern.flags & ~re.UNICODE)


def fixed_start(pattern: re.Pattern[bytes]) -> bytes:
    """Return bytes that every match begins with; none where that cannot be told."""
    source = pattern.pattern
    if b"|" in source or pattern.flags & _REWRITES:
        return b""
    length = next((at for at, byte in enumerate(source) if byte in _SPECIAL), len(source))
    if length < len(source) and source[length] in _REPEATS:
        length -= 1
    return source[: max(0, length)]


def fixed_end(pattern: re.Pattern[bytes]) -> bytes:
    """Return bytes without whose last one no match can be complete; none where that cannot be told."""
    source = pattern.pattern
    if b"|" in source or pattern.flags & _REWRITES or _LOOKS_AROUND.search(source):
        return b""
    begin = next((at + 1 for at in reversed(range(len(source))) if source[at] in _SPECIAL), 0)
    if begin and source[begin - 1] == ord("\\"):
        odd = not source[begin : begin + 1].isalnum()  # \- is the byte itself; \x41 is four letters for one
        return source[begin:] if odd else b""
    return source[begin:]


class Needle:
    """One pattern on its way through a growing haystack; `re.search` on all of it is what it stands for.

    Args:
        pattern: What to look for.
    """

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self._start = fixed_start(pattern)
        self._end = fixed_end(pattern)
        self._may_begin = 0
        self._seen = 0

    def search(self, haystack: bytearray, begins_by: int | None = None) -> tuple[int, int] | None:
        """Return where the first match begins and ends in a haystack that only grew since the last call.

        Args:
            haystack: All that came.
            begins_by: A match that begins later need not be found, and none is looked for afterwards.

        Raises:
            UsageError: The pattern takes more than a second.
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

    def forget(self, size_bytes: int) -> None:
        """Note that so many bytes left the haystack at its front."""
        self._seen = max(0, self._seen - size_bytes)
        self._may_begin = max(0, self._may_begin - size_bytes)

    def _find_start(self, haystack: bytearray, begins_by: int | None) -> bool:
        """Move `_may_begin` to the first place where the fixed start stands; False if there is none."""
        end = len(haystack) if begins_by is None else begins_by + len(self._start)
        where = haystack.find(self._start, self._may_begin, end)
        overlap = len(self._start) - 1
        self._may_begin = where if where >= 0 else max(self._may_begin, len(haystack) - overlap)
        return where >= 0
