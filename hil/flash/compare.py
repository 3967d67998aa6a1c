"""Compare memory fast.

Python compares two memoryviews byte by byte (180 MB/s), but a bytearray and a memoryview by memcmp. So one
side is copied through a bytearray that is small enough to stay in the processor's cache (5 GB/s).
"""

from __future__ import annotations

__all__ = ["are_equal", "are_zeros", "first_difference"]

_PART_BYTES = 256 * 1024


def are_equal(one: memoryview, other: memoryview) -> bool:
    """Return True if both hold the same bytes; they must have the same length."""
    part = bytearray(min(_PART_BYTES, len(one)))
    for begin in range(0, len(one), _PART_BYTES):
        piece = one[begin : begin + _PART_BYTES]
        if len(piece) < len(part):
            part = bytearray(len(piece))
        part[:] = piece
        if part != other[begin : begin + _PART_BYTES]:
            return False
    return True


def are_zeros(view: memoryview) -> bool:
    """Return True if all bytes are zero."""
    return are_equal(view, memoryview(bytes(len(view))))


def first_difference(one: memoryview, other: memoryview) -> int:
    """Return the position of the first byte that differs; there must be one."""
    begin, end = 0, len(one)
    while end - begin > 1:
        middle = (begin + end) // 2
        is_equal = are_equal(one[begin:middle], other[begin:middle])
        begin, end = (middle, end) if is_equal else (begin, middle)
    return begin
