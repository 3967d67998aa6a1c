"""Search with a user's pattern; a search that may take very long runs in a process that can be killed.

While Python's `re` searches, no other thread of the process runs, so a search that does not end would block
Ctrl-C, SIGTERM and time limits. A search that is not known to take few steps is therefore done by another
process (`hil.dutlink.patterns.search_process`), which ends after a second.
"""

from __future__ import annotations

import atexit
import importlib
import math
import os
import re
import select
import sys
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from hil.dutlink.patterns import search_process
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["compile_user_pattern", "most_steps", "search", "search_all", "trust_pattern"]

_MOST_STEPS: Final = 5_000_000
"""About 0.1 s of one core."""

_CONTEXT_BYTES: Final = 4096
"""How many bytes before the first one are passed too, for patterns that look back."""

_ANSWER_LIMIT_S: Final = 60.0
"""Seconds that one second of work may take on a busy machine."""

_SHOWN: Final = 80


def compile_user_pattern(text: str | bytes, flags: int = 0) -> re.Pattern[bytes]:
    """Compile a pattern that a user gave; text becomes UTF-8.

    Raises:
        ValueError: The pattern is not a regular expression; the text says why.
    """
    try:
        return re.compile(text.encode() if isinstance(text, str) else text, flags)
    except (re.error, UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no regular expression: {error}") from None


def search(pattern: re.Pattern[bytes], data: bytes | bytearray, begin: int = 0) -> tuple[int, int] | None:
    """Return where the first match from `begin` on begins and ends, or None if there is none.

    Raises:
        UsageError: The search takes more than a second.
    """
    if most_steps(_cost_as.get(pattern, pattern), len(data) - begin) <= _MOST_STEPS or not sys.executable:
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
    """Mark a pattern whose searches are known to be fast, and return it.

    Args:
        pattern: The pattern.
        like: A pattern whose searches take at least as long; None: searches with `pattern` take few steps.
    """
    _cost_as[pattern] = _LITERAL if like is None else _cost_as.get(like, like)
    return pattern


_LITERAL: Final = re.compile(b"x")
_cost_as: Final[WeakKeyDictionary[re.Pattern[bytes], re.Pattern[bytes]]] = WeakKeyDictionary()
_idle: Final[list[_Searcher]] = []


class _EndedError(Exception):
    """The process ended; `is_slow` is True if that is because its search took too long."""

    def __init__(self, *, is_slow: bool) -> None:
        super().__init__()
        self.is_slow = is_slow


class _Searcher:
    """A process that searches for one thread at a time."""

    def __init__(self) -> None:
        import subprocess  # noqa: PLC0415 - few searches need a process, and each command reads a lab file's patterns

        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", search_process.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            process_group=0,  # Ctrl-C must not reach it
        )

    def search(self, pattern: re.Pattern[bytes], data: bytes, begin: int) -> tuple[int, int] | None:
        """Search; raise _EndedError if the process ended without a reply."""
        request = search_process.REQUEST.pack(pattern.flags, len(pattern.pattern), len(data), begin)
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        try:
            for piece in (request, pattern.pattern, data):
                rest = memoryview(piece)
                while rest:
                    rest = rest[self._process.stdin.write(rest) :]
        except BrokenPipeError:
            raise self._ended() from None
        ready, _, _ = select.select([self._process.stdout], [], [], _ANSWER_LIMIT_S)
        reply = self._process.stdout.read(search_process.REPLY.size) if ready else b""
        if len(reply) < search_process.REPLY.size:
            raise self._ended() if ready else _EndedError(is_slow=True)
        span: tuple[int, int] = search_process.REPLY.unpack(reply)
        return None if span[0] < 0 else span

    def _ended(self) -> _EndedError:
        import signal  # noqa: PLC0415 - few searches need a process

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
        """Forget the process in a forked child, which must neither wait for it nor end it."""
        self._process.returncode = 0


def _searched_elsewhere(
    pattern: re.Pattern[bytes], data: bytes, begin: int, *, again: bool = True
) -> tuple[int, int] | None:
    try:
        searcher = _idle.pop()
    except IndexError:  # checking before `pop` would be a race: another thread may take the last one
        searcher = _Searcher()
    try:
        span = searcher.search(pattern, data, begin)
    except _EndedError as error:
        searcher.end()
        if again and not error.is_slow:  # another program killed it
            return _searched_elsewhere(pattern, data, begin, again=False)
        raise _takes_too_long(pattern, len(data) - begin) from None
    except BaseException:  # its reply may still come, and must not be mistaken for that of another search
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

_PARSER: Final = importlib.import_module("re._parser")
_UNBOUNDED: Final = 1000
_ONE_WAY: Final = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "CATEGORY"})
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})

_Ways = tuple[float, float]
"""A factor and an exponent: from each of n bytes on there are at most factor * n ** exponent ways to
match."""


def most_steps(pattern: re.Pattern[bytes], size_bytes: int) -> float:
    """Return an upper bound of the steps of a search in so many bytes; infinite if none is known.

    With some patterns Python's `re` backtracks very long.
    """
    factor, exponent = _ways_of(pattern.pattern, pattern.flags)
    try:
        return factor * math.pow(max(1.0, size_bytes), exponent + 1)
    except OverflowError:
        return math.inf


@lru_cache(maxsize=256)
def _ways_of(source: bytes, flags: int) -> _Ways:
    try:
        return _ways(_PARSER.parse(source, flags & ~re.DEBUG))
    except Exception:  # noqa: BLE001 - the parser is Python's own, and may change
        return math.inf, 0.0


def _ways(items: Any) -> _Ways:  # noqa: ANN401 - the parser's own types
    factor, exponent = 1.0, 0.0
    for operation, argument in items:
        more, higher = _ways_of_item(str(operation), argument)
        factor, exponent = factor * more, exponent + higher
    return factor, exponent


def _ways_of_item(name: str, argument: Any) -> _Ways:  # noqa: ANN401 - the parser's own types
    if name in _ONE_WAY:
        return 1.0, 0.0
    if name in _REPEATS:
        return _ways_of_repeat(*argument)
    if name == "BRANCH":
        several = [_ways(each) for each in argument[1]]
        return sum(factor for factor, _ in several), max(exponent for _, exponent in several)
    if name in {"SUBPATTERN", "ASSERT", "ASSERT_NOT"}:
        return _ways(argument[-1])
    if name == "ATOMIC_GROUP":
        return _ways(argument)
    return math.inf, 0.0  # back references, conditions, and what later versions bring


def _ways_of_repeat(least: int, most: int, item: Any) -> _Ways:  # noqa: ANN401 - the parser's own types
    factor, exponent = _ways(item)
    if factor == 1.0 and exponent == 0.0:  # an item of one fixed length matches in one way
        return (1.0, 1.0) if most >= _UNBOUNDED else (most - least + 1.0, 0.0)
    if most >= _UNBOUNDED:
        return math.inf, 0.0
    return math.pow(factor, most) if factor < 2.0**20 and most < 2.0**5 else math.inf, exponent * most
