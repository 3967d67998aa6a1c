"""Search with a user's pattern: one that may take for ever does so in a process that can be killed.

While Python's `re` searches, no other thread of the process runs: a search without an end in the thread that
watches a console would leave the process deaf to Ctrl-C, SIGTERM and time limits. So a search whose steps
are not known to be few is left to a process (`hil.dutlink.patterns.search_process`) that ends after a second.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from hil.dutlink.patterns import search_process
from hil.dutlink.patterns.cost import most_steps
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["compile_user_pattern", "search", "search_all", "trust_pattern"]

_MOST_STEPS: Final = 5_000_000
"""Some 0.1 s of one core."""

_CONTEXT_BYTES: Final = 4096
"""How much before the first byte is given too, for patterns that look behind."""

_ANSWER_LIMIT_S: Final = 60.0
"""How long a process on a machine without a free core may take for a second's work."""

_SHOWN: Final = 80


def compile_user_pattern(text: str | bytes, flags: int = 0) -> re.Pattern[bytes]:
    """Compile a pattern that a user gave; text becomes UTF-8.

    Raises:
        ValueError: It is no regular expression; the text says what is wrong with it.
    """
    try:
        return re.compile(text.encode() if isinstance(text, str) else text, flags)
    except (re.error, UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no regular expression: {error}") from None


def search(pattern: re.Pattern[bytes], data: bytes | bytearray, begin: int = 0) -> tuple[int, int] | None:
    """Return where the first match from `begin` on begins and ends, or None.

    Raises:
        UsageError: The pattern takes more than a second.
    """
    if most_steps(_judged_as.get(pattern, pattern), len(data) - begin) <= _MOST_STEPS or not sys.executable:
        found = pattern.search(data, begin)
        return found.span() if found else None
    first = max(0, begin - _CONTEXT_BYTES)
    span = _searched_elsewhere(pattern, bytes(memoryview(data)[first:]), begin - first)
    return None if span is None else (span[0] + first, span[1] + first)


def search_all(pattern: re.Pattern[bytes], data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where all matches begin and end; see `search`."""
    begin = 0
    while begin <= len(data) and (span := search(pattern, data, begin)) is not None:
        yield span
        begin = max(span[1], span[0] + 1)


def trust_pattern(pattern: re.Pattern[bytes], like: re.Pattern[bytes] | None = None) -> re.Pattern[bytes]:
    """Return a pattern whose searches are known to take no longer than those of another one.

    Args:
        pattern: The pattern.
        like: The other one; None: searches with `pattern` take few steps.
    """
    _judged_as[pattern] = _LITERAL if like is None else _judged_as.get(like, like)
    return pattern


_LITERAL: Final = re.compile(b"x")
_judged_as: Final[WeakKeyDictionary[re.Pattern[bytes], re.Pattern[bytes]]] = WeakKeyDictionary()
_idle: Final[list[_Searcher]] = []


class _EndedError(Exception):
    """The process ended; `is_slow` tells whether it was ended because its search took too long."""

    def __init__(self, *, is_slow: bool) -> None:
        super().__init__()
        self.is_slow = is_slow


class _Searcher:
    """A running process that searches, for one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", search_process.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            process_group=0,  # Ctrl-C is for those who ask
        )

    def search(self, pattern: re.Pattern[bytes], data: bytes, begin: int) -> tuple[int, int] | None:
        """Search; raise _EndedError if the process ended instead of answering."""
        asked = search_process.ASKED.pack(pattern.flags, len(pattern.pattern), len(data), begin)
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - as above
        try:
            for piece in (asked, pattern.pattern, data):
                rest = memoryview(piece)
                while rest:
                    rest = rest[self._process.stdin.write(rest) :]
        except BrokenPipeError:
            raise self._ended() from None
        ready, _, _ = select.select([self._process.stdout], [], [], _ANSWER_LIMIT_S)
        answer = self._process.stdout.read(search_process.ANSWER.size) if ready else b""
        if len(answer) < search_process.ANSWER.size:
            raise self._ended() if ready else _EndedError(is_slow=True)
        span: tuple[int, int] = search_process.ANSWER.unpack(answer)
        return None if span[0] < 0 else span

    def _ended(self) -> _EndedError:
        return _EndedError(is_slow=self._process.wait() == -signal.SIGVTALRM)

    def end(self) -> None:
        """End the process; harmless if it has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Take it for another process's: a forked child must neither wait for it nor end it."""
        self._process.returncode = 0


def _searched_elsewhere(
    pattern: re.Pattern[bytes], data: bytes, begin: int, *, again: bool = True
) -> tuple[int, int] | None:
    try:
        searcher = _idle.pop()
    except IndexError:  # asking first would be too early: another thread may take the last one
        searcher = _Searcher()
    try:
        span = searcher.search(pattern, data, begin)
    except _EndedError as error:
        searcher.end()
        if again and not error.is_slow:  # somebody killed it
            return _searched_elsewhere(pattern, data, begin, again=False)
        raise _takes_too_long(pattern, len(data) - begin) from None
    except BaseException:  # its answer may still come, and must not be taken for another one's
        searcher.end()
        raise
    _idle.append(searcher)
    return span


def _takes_too_long(pattern: re.Pattern[bytes], size_bytes: int) -> UsageError:
    shown = pattern.pattern.decode(errors="backslashreplace")[:_SHOWN]
    return UsageError(
        f"the pattern {shown!r} takes too long",
        why=f"matching {size_bytes} bytes of console output took more than 1 s (the pattern backtracks)",
        remedy="avoid nested repeats: a+ instead of (a+)+, .* instead of .*.*",
    )


def _end_all() -> None:
    with suppress(IndexError):
        while True:
            _idle.pop().end()


def _forget_all() -> None:
    for searcher in _idle:
        searcher.forget()
    _idle.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_forget_all)
