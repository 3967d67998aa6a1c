"""Magic numbers, decompressors and allowed tails of gzip, bzip2, xz, zstd and LZ4 files.

Every file that the format's own tool accepts is accepted here.
"""

from __future__ import annotations

import bz2
import enum
import lzma
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hil.flash.formats.archive_memory import UnsupportedArchiveError, available_bytes, zstd_decoder_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression import zstd  # pragma: no cover
else:
    from backports import zstd

__all__ = [
    "DAMAGE",
    "FORMATS",
    "HEADER_BYTES",
    "LZ4",
    "SKIPPABLE",
    "ZSTD",
    "Compression",
    "Decompressor",
    "Tail",
    "detect_compression",
    "is_truncated_magic",
]

HEADER_BYTES = 18
"""Bytes of a member that its decompressor needs: the longest header, that of a zstd frame."""

_LARGEST_WINDOW_LOG = 31
_SOUND_GZIP_FLAGS = 0x1F


class Decompressor(Protocol):
    """The common interface of the decompressors of bz2, lzma and zstd."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether it must be given more input before it returns more bytes."""
        ...

    @property
    def unused_data(self) -> bytes | None:
        """The input after the member's end."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take compressed bytes and return some of the decompressed ones."""
        ...


class Tail(enum.Enum):
    """What the format's own tool allows after the last member."""

    NOTHING = enum.auto()
    ZEROS_BY_FOUR = enum.auto()  # xz: stream padding, between members too
    ANYTHING = enum.auto()  # gzip and bzip2 warn of it and ignore it


class _Gzip:
    """A `Decompressor` for gzip; zlib returns the input that it did not take."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max(max_length, 0))


def _new_gzip(start: bytes) -> _Gzip:
    if start[3:4] > bytes([_SOUND_GZIP_FLAGS]):
        raise UnsupportedArchiveError(f"its header has the flags {start[3]:#04x}, which gzip does not know")
    return _Gzip()


def _new_xz(_start: bytes) -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=available_bytes())


def _new_zstd(start: bytes) -> Any:  # noqa: ANN401 - of either module
    wanted, available = zstd_decoder_bytes(start), available_bytes()
    if wanted > available:
        raise UnsupportedArchiveError(
            f"its window (zstd --long) takes {wanted >> 20} MiB of memory, {available >> 20} MiB may be used"
        )
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW_LOG})


def _new_lz4(start: bytes) -> Any:  # noqa: ANN401 - the module has no types
    if start[4:5] and start[4] & 1:
        raise UnsupportedArchiveError("it was compressed with a dictionary, which it does not hold")
    try:
        from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise UnsupportedArchiveError("the Python package lz4 is not installed: pip install lz4") from error
    return LZ4FrameDecompressor()


@dataclass(frozen=True, slots=True)
class Compression:
    """A compression format.

    Attributes:
        name: Name of the format and of its tool.
        magic: The first bytes of a file.
        member: The first bytes of each member that the tool checks.
        new: Returns a decompressor of one member, given the member's first bytes.
        tail: What may follow the last member.
        is_slow: Whether decompression takes longer than SHA-256 of the result.
    """

    name: str
    magic: bytes
    member: bytes
    new: Callable[[bytes], Any]
    tail: Tail = Tail.NOTHING
    is_slow: bool = True


ZSTD = Compression("zstd", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd", _new_zstd, is_slow=False)
LZ4 = Compression("lz4", b"\x04\x22\x4d\x18", b"\x04\x22\x4d\x18", _new_lz4, is_slow=False)

FORMATS = (
    Compression("gzip", b"\x1f\x8b\x08", b"\x1f\x8b", _new_gzip, Tail.ANYTHING),
    Compression("bzip2", b"BZh", b"BZh", lambda _: bz2.BZ2Decompressor(), Tail.ANYTHING),
    Compression("xz", b"\xfd7zXZ\x00", b"\xfd7zXZ\x00", _new_xz, Tail.ZEROS_BY_FOUR),
    LZ4,
    ZSTD,
)

SKIPPABLE = tuple(bytes([0x50 + low]) + b"\x2a\x4d\x18" for low in range(16))
"""Magic numbers of the metadata frames in zstd and LZ4 files; a file may begin with one (RFC 8878, 3.1.2)."""

DAMAGE = (zlib.error, OSError, EOFError, ValueError, RuntimeError, lzma.LZMAError, zstd.ZstdError)
"""Errors that the decompressors raise for damaged input; RuntimeError is LZ4's."""


def detect_compression(start: bytes) -> Compression | None:
    """Return the format of a compressed file by its first bytes, or None if it is not compressed."""
    for kind in FORMATS:
        if start.startswith(kind.magic):
            return kind
    return ZSTD if start[:4] in SKIPPABLE else None


def is_truncated_magic(whole: bytes) -> bool:
    """Return True if a file consists of only a part of a format's magic number."""
    return whole != b"" and any(
        len(whole) < len(kind.magic) and kind.magic.startswith(whole) for kind in FORMATS
    )
