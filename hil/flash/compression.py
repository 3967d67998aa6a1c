"""Decompression by pieces: gzip, bzip2, xz and zstd, by what a file begins with and not by its name.

An archive that ends too early or does not agree with its own checksum is an error; so is anything behind its
last member but zero padding, which gzip and xz allow.
"""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hil.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

if sys.version_info >= (3, 14):
    from compression import zstd  # pragma: no cover
else:
    from backports import zstd

__all__ = ["FORMATS", "Compression", "Unpacked", "compression_of", "magic_cut_short"]

_READ_BYTES = 256 * 1024


class _Decompressor(Protocol):
    """What bz2, lzma and zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """The same for zlib, which hands back what it did not take."""

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


@dataclass(frozen=True, slots=True)
class Compression:
    """A kind of archive.

    Attributes:
        name: In messages.
        magic: How a file begins.
        new: Makes a decompressor of one member.
        padded: Whether zeros may follow the last member.
        is_slow: Whether unpacking takes longer than SHA-256 of what comes out.
    """

    name: str
    magic: bytes
    new: Callable[[], Any]
    padded: bool = False
    is_slow: bool = True


FORMATS = (
    Compression("gzip", b"\x1f\x8b\x08", _Gzip, padded=True),
    Compression("bzip2", b"BZh", bz2.BZ2Decompressor),
    Compression("xz", b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), padded=True),
    Compression("zstd", b"\x28\xb5\x2f\xfd", zstd.ZstdDecompressor, is_slow=False),
)

_SKIPPABLE = tuple(bytes([0x50 + low]) + b"\x2a\x4d\x18" for low in range(16))
"""Frames that zstd's decompressor passes over; a file may begin with one (RFC 8878, 3.1.2)."""

_DAMAGE = (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, zstd.ZstdError)


def compression_of(start: bytes) -> Compression | None:
    """Tell how a file is compressed by its first bytes; None: it is not."""
    for kind in FORMATS:
        if start.startswith(kind.magic):
            return kind
    return FORMATS[-1] if start[:4] in _SKIPPABLE else None


def magic_cut_short(whole: bytes) -> bool:
    """Tell whether a whole file is no more than the beginning of what an archive begins with."""
    return any(len(whole) < len(kind.magic) and kind.magic.startswith(whole) for kind in FORMATS)


class Unpacked:
    """The bytes in an archive, as a stream.

    Args:
        file: The archive, at its start.
        kind: What it is.
        label: What messages call it.
    """

    def __init__(self, file: BinaryIO, kind: Compression, label: str) -> None:
        self._file = file
        self._kind = kind
        self._label = label
        self._member: _Decompressor | None = kind.new()
        self._input = b""

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, at most that many; fewer only at the end, and none behind it.

        Raises:
            ImageError: The archive is truncated or corrupt.
        """
        pieces = []
        while size_bytes > 0 and self._member is not None:
            piece = self._some(self._member, size_bytes)
            pieces.append(piece)
            size_bytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _some(self, member: _Decompressor, size_bytes: int) -> bytes:
        """Return some bytes of the present member; none where its input was used up, or it ended."""
        if member.eof:
            self._next_member(member)
            return b""
        if member.needs_input and not self._input:
            self._input = self._file.read(_READ_BYTES)
            if not self._input:
                raise self._damaged("it ends in the middle", "fetch it again: it is not whole")
        given, self._input = self._input, b""
        try:
            return member.decompress(given, size_bytes)
        except _DAMAGE as error:
            raise self._damaged(str(error)) from error

    def _next_member(self, member: _Decompressor) -> None:
        """Go on behind a member's end: another one, padding, or nothing."""
        rest = member.unused_data or self._file.read(_READ_BYTES)
        if self._kind.padded:
            while rest and not rest.strip(b"\0"):
                rest = self._file.read(_READ_BYTES)
        if not rest:
            self._member = None
            return
        rest += self._file.read(len(self._kind.magic))  # so that a magic number is never cut in two
        if compression_of(rest) is not self._kind:
            raise self._damaged("something else follows its end")
        self._member, self._input = self._kind.new(), rest

    def _damaged(
        self, why: str, remedy: str = "fetch or make it again, and compare its checksum"
    ) -> ImageError:
        return ImageError(f"{self._label} is a damaged {self._kind.name} archive", why=why, remedy=remedy)
