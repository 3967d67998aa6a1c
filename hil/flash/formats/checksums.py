"""Checksums of ranges, computed in two threads beside the reading; CRC-32 of zeros, without reading them."""

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
"""How many tasks may run or wait; each keeps its bytes in memory."""

_SMALL_BYTES = 128 * 1024
"""Smaller ranges are checked at once, which is faster than handing them to a thread."""

_POLYNOMIAL = 0xEDB88320  # reflected: the highest bit is the factor of x^0
_ONE = 0x80000000
_X_TO_8 = 0x00800000
_ALL = 0xFFFFFFFF


class Checksums:
    """Computes checksums and compares them; call `finish` before the `with` block ends.

    Args:
        kind: Name of the checksums for `hashlib`.
        wrong: Called with the name of a range whose checksum differs; returns the error to raise.
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
        """Return a new range.

        Args:
            name: Passed to `wrong`.
            expected: Its checksum, hexadecimal; empty if it has none.
        """
        return CheckedRange(self, name, expected, hashlib.new(self._kind) if expected else None)

    def finish(self) -> None:
        """Wait for all ranges; raise the error of the first one that differs."""
        self._wait(0)

    def submit(self, task: Callable[[], str]) -> Future[str]:
        """Run a task in a thread; it returns the name of a range that differs, or an empty string."""
        self._wait(_MOST_WAITING - 1)
        future = self._pool.submit(task)
        self._waiting.append(future)
        return future

    def _wait(self, allowed: int) -> None:
        while len(self._waiting) > allowed:
            self.check(self._waiting.popleft().result())

    def check(self, wrong: str) -> None:
        """Raise the error of a range; do nothing for an empty name."""
        if wrong:
            raise self._wrong(wrong)


class CheckedRange:
    """One range: its bytes are hashed in order, in parallel with other ranges."""

    def __init__(self, checksums: Checksums, name: str, expected: str, digest: Any) -> None:  # noqa: ANN401 - hashlib's
        self._checksums = checksums
        self._name = name
        self._expected = expected
        self._digest = digest
        self._last: Future[str] | None = None

    def add(self, data: memoryview, *, is_last: bool) -> Future[str] | None:
        """Hash the next bytes, and compare the checksum after the last ones.

        Returns:
            A future that is done after the bytes were hashed; None if they are already, or need not be.
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
    """Return `zlib.crc32(bytes(size_bytes), crc)` for any size, without that memory.

    Appending a zero byte multiplies the checksum's state by x^8 modulo the polynomial of CRC-32 (ISO 3309).
    So n zero bytes are one multiplication by x^(8n), which takes as many squarings as n has bits.
    """
    factor, square = _ONE, _X_TO_8
    while size_bytes:
        if size_bytes & 1:
            factor = _times(factor, square)
        square = _times(square, square)
        size_bytes >>= 1
    return _times(crc ^ _ALL, factor) ^ _ALL


def _times(one: int, other: int) -> int:
    """Return the product of two polynomials modulo the polynomial of CRC-32."""
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & _ALL
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product
