"""Checksums of ranges, counted beside the reading: on two cores, or a map costs more than it spares."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CheckedRange", "Checksums", "crc32_with_zeros"]

_THREADS = 2
_MOST_WAITING = 2 * _THREADS
"""ChunkReader that are counted or wait for it; each keeps its bytes in memory."""

_SMALL_BYTES = 128 * 1024
"""A range that is smaller is counted at once: sooner than another thread would be told of it."""

_POLYNOMIAL = 0xEDB88320  # reflected: the highest bit is the factor of x^0
_ONE = 0x80000000
_X_TO_8 = 0x00800000
_ALL = 0xFFFFFFFF


class Checksums:
    """Counts checksums and compares them; leave the `with` block only after `finish`.

    Args:
        kind: Their name for `hashlib`.
        wrong: Is called with the name of a range whose checksum does not agree; returns what to raise.
    """

    def __init__(self, kind: str, wrong: Callable[[str], Exception]) -> None:
        self._kind = kind
        self._wrong = wrong
        self._pool = ThreadPoolExecutor(_THREADS, "checks")
        self._waiting: deque[Future[str]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def range(self, name: str, expected: str) -> CheckedRange:
        """Begin a range.

        Args:
            name: For the error.
            expected: Its checksum, hexadecimal; empty: it has none.
        """
        return CheckedRange(self, name, expected, hashlib.new(self._kind) if expected else None)

    def finish(self) -> None:
        """Wait for all; raises what `wrong` returned for the first that does not agree."""
        self._wait(0)

    def submit(self, task: Callable[[], str]) -> Future[str]:
        """Have something counted; what it returns is the name of a range that is wrong, or empty."""
        self._wait(_MOST_WAITING - 1)
        future = self._pool.submit(task)
        self._waiting.append(future)
        return future

    def _wait(self, allowed: int) -> None:
        while len(self._waiting) > allowed:
            self.check(self._waiting.popleft().result())

    def check(self, wrong: str) -> None:
        """Raise what `wrong` returns for a range; nothing for an empty name."""
        if wrong:
            raise self._wrong(wrong)


class CheckedRange:
    """One range: its pieces are counted in order, other ranges' beside them."""

    def __init__(self, checksums: Checksums, name: str, expected: str, digest: Any) -> None:  # noqa: ANN401 - hashlib's
        self._checksums = checksums
        self._name = name
        self._expected = expected
        self._digest = digest
        self._last: Future[str] | None = None

    def add(self, data: memoryview, *, is_last: bool) -> Future[str] | None:
        """Count bytes that follow; the last ones are compared.

        Returns:
            Is done when they were counted; None: they are already, or need not be.
        """
        if self._digest is None:
            return None
        before = self._last
        if before is None and is_last and len(data) <= _SMALL_BYTES:
            self._digest.update(data)
            self._checksums.check(self._name if self._digest.hexdigest() != self._expected else "")
            return None

        def count() -> str:
            if before is not None:
                before.result()
            self._digest.update(data)
            return self._name if is_last and self._digest.hexdigest() != self._expected else ""

        self._last = self._checksums.submit(count)
        return self._last


def crc32_with_zeros(crc: int, size_bytes: int) -> int:
    """Return what `zlib.crc32(bytes(size_bytes), crc)` would, for any size."""
    factor, square = _ONE, _X_TO_8
    while size_bytes:
        if size_bytes & 1:
            factor = _times(factor, square)
        square = _times(square, square)
        size_bytes >>= 1
    return _times(crc ^ _ALL, factor) ^ _ALL


def _times(one: int, other: int) -> int:
    """Multiply two polynomials modulo that of the checksum."""
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & _ALL
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product
