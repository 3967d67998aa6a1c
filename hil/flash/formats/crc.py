"""The CRC-32 of zeros without reading them: a range that does not matter may be larger than any memory.

Appending a zero byte multiplies the checksum's state by x^8 modulo the polynomial of CRC-32 (ISO 3309), so n
of them are one multiplication by x^(8n), which squaring reaches in as many steps as n has bits.
"""

from __future__ import annotations

__all__ = ["crc32_with_zeros"]

_POLYNOMIAL = 0xEDB88320  # reflected: the highest bit is the factor of x^0
_ONE = 0x80000000
_X_TO_8 = 0x00800000
_ALL = 0xFFFFFFFF


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
