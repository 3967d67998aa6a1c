"""An archive's decompressed bytes as a stream, with bounded work and memory for any input."""

from __future__ import annotations

import lzma
import os
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.formats.compression import (
    DAMAGE,
    HEADER_BYTES,
    LZ4,
    SKIPPABLE,
    ZSTD,
    Tail,
    UnsupportedArchiveError,
)
from hil.flash.reader_thread import raise_if_stopped

if TYPE_CHECKING:
    from typing import BinaryIO

    from hil.flash.formats.compression import Compression, Decompressor

__all__ = ["UnpackedStream"]

_READ_BYTES = 256 * 1024
_FIRST_BYTES = 4096
"""First input of a member. It is small because a decompressor copies all input after the member's end."""

_MOST_TINY = 8192
"""How many members may hold almost nothing. No tool writes so many, and each takes some 0.3 ms."""

_TINY_BYTES = 4096
"""A member of this many bytes, or several that add up to it, makes up for one tiny member."""

_SKIPPABLE_HEADER_BYTES = 8

_UNSUPPORTED = {
    "Memory usage limit exceeded": "its dictionary takes more memory than may be used",
    "Invalid or unsupported options": "it uses a filter or an option that this liblzma does not know",
    "Unsupported integrity check": "it uses a kind of checksum that this liblzma does not know",
}
"""LZMAError texts that do not mean damage, because Python passes on liblzma's error codes only as texts."""


class UnpackedStream:
    """An archive's decompressed bytes, as a stream.

    Args:
        file: The archive, at its start.
        kind: Its compression format.
        label: Its name, for messages.

    Attributes:
        remarks: Notes for the user that are no errors; complete once the archive was read to its end.
    """

    def __init__(self, file: BinaryIO, kind: Compression, label: str) -> None:
        self.remarks: list[str] = []
        self._input = _Input(file)
        self._kind = kind
        self._label = label
        self._member: Decompressor | None = None
        self._feed_bytes = _FIRST_BYTES
        self._is_first = True
        self._is_over = False
        self._made_bytes = 0
        self._tiny = 0.0

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, at most that many; fewer only at the end, and none after it.

        Raises:
            ImageError: The archive is truncated, damaged, or cannot be unpacked here.
        """
        parts = []
        while size_bytes > 0 and not self._is_over:
            part = self._read_some(size_bytes)
            parts.append(part)
            size_bytes -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_some(self, size_bytes: int) -> bytes:
        """Return some bytes of the present member, maybe none."""
        raise_if_stopped()
        try:
            if self._member is None:
                self._begin()
                return b""
            return self._unpack(self._member, size_bytes)
        except UnsupportedArchiveError as error:
            raise self._unsupported(str(error)) from error
        except MemoryError as error:
            raise self._unsupported("it takes more memory than this host has") from error
        except DAMAGE as error:
            if isinstance(error, lzma.LZMAError) and str(error) in _UNSUPPORTED:
                raise self._unsupported(_UNSUPPORTED[str(error)]) from error
            raise self._damaged(str(error)) from error

    def _unpack(self, member: Decompressor, size_bytes: int) -> bytes:
        given = b""
        if member.needs_input:
            given = self._input.take(self._feed_bytes)
            self._feed_bytes = min(2 * self._feed_bytes, _READ_BYTES)
            if not given:
                raise self._cut_short()
        data = member.decompress(given, size_bytes)
        self._made_bytes += len(data)
        if member.eof:
            self._input.give_back(len(member.unused_data or b""))
            self._member = None
            self._count_tiny()
        return data

    def _begin(self) -> None:
        """Start the next member, skip a skippable frame, or end the archive."""
        start = self._input.peek(HEADER_BYTES)
        if self._kind in (ZSTD, LZ4) and start[:4] in SKIPPABLE:
            self._skip_frame(start)
            self._count_tiny()
        elif self._is_first and self._kind is ZSTD and start.startswith(LZ4.magic):
            self._kind = LZ4  # zstd and LZ4 files may both begin with skippable frames
        elif start.startswith(self._kind.member):
            self._member = self._kind.new(start)
            self._feed_bytes, self._made_bytes, self._is_first = _FIRST_BYTES, 0, False
        elif not start:
            self._is_over = True
        else:
            self._end(start)

    def _skip_frame(self, start: bytes) -> None:
        size_bytes = _SKIPPABLE_HEADER_BYTES + int.from_bytes(start[4:_SKIPPABLE_HEADER_BYTES], "little")
        if len(start) < _SKIPPABLE_HEADER_BYTES or self._input.skip(size_bytes) < size_bytes:
            raise self._cut_short()

    def _end(self, start: bytes) -> None:
        """Accept or refuse the bytes after the last member, as the format's own tool does."""
        if self._kind.member.startswith(start):
            raise self._cut_short()
        zeros = self._input.skip_zeros() if self._kind.tail is not Tail.NOTHING else 0
        if self._kind.tail is Tail.ZEROS_BY_FOUR and zeros and zeros % 4 == 0:
            return
        if self._kind.tail is not Tail.ANYTHING:
            raise self._damaged("something else follows its end")
        rest = self._input.peek(HEADER_BYTES)
        if not zeros and _is_near(start, self._kind.magic):
            raise self._damaged("the header of its next member is damaged")
        if rest:
            begins = rest if rest.isascii() and rest.decode("ascii").isprintable() else rest[:8].hex(" ")
            self.remarks.append(
                f"something follows the end of the {self._kind.name} archive {self._label} and was ignored, "
                f"as {self._kind.name} does (a vendor's metadata, maybe; it begins {begins!r})"
            )
        self._is_over = True

    def _count_tiny(self) -> None:
        """Count members that hold almost nothing; larger members reduce the count."""
        self._tiny = max(0.0, self._tiny + 1 - self._made_bytes / _TINY_BYTES)
        self._made_bytes = 0
        if self._tiny > _MOST_TINY:
            raise self._damaged(f"it has more than {_MOST_TINY} members or frames that hold next to nothing")

    def _cut_short(self) -> ImageError:
        return self._damaged("it ends in the middle", "fetch it again: it is not whole")

    def _damaged(
        self, why: str, remedy: str = "fetch or make it again, and compare its checksum"
    ) -> ImageError:
        return ImageError(f"{self._label} is a damaged {self._kind.name} archive", why=why, remedy=remedy)

    def _unsupported(self, why: str) -> ImageError:
        tool = self._kind.name
        return ImageError(
            f"{self._label} is a {tool} archive that cannot be unpacked here",
            why=why,
            remedy=f"unpack it with {tool} itself, and give the image that is in it",
        )


def _is_near(start: bytes, magic: bytes) -> bool:
    """Return True if exactly one byte differs: then the bytes are a damaged header."""
    return sum(one != other for one, other in zip(start, magic, strict=False)) == 1


class _Input:
    """A file whose latest bytes can be given back after reading."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._chunk = b""
        self._at = 0

    def peek(self, size_bytes: int) -> bytes:
        """Return the next bytes without taking them; fewer only at the end."""
        if len(self._chunk) - self._at < size_bytes:
            self._chunk = self._chunk[self._at :] + self._file.read(_READ_BYTES)
            self._at = 0
        return self._chunk[self._at : self._at + size_bytes]

    def take(self, size_bytes: int) -> bytes:
        """Return up to that many of the next bytes; none only at the end."""
        if self._at == len(self._chunk):
            self.peek(1)
        taken = self._chunk[self._at : self._at + size_bytes]
        self._at += len(taken)
        return taken

    def give_back(self, size_bytes: int) -> None:
        """Give back the last bytes of the latest `take`, so that they are read again."""
        self._at -= size_bytes

    def skip(self, size_bytes: int) -> int:
        """Skip bytes, without reading them if possible, and return how many there were."""
        in_chunk = min(len(self._chunk) - self._at, size_bytes)
        self._at += in_chunk
        if in_chunk == size_bytes:
            return size_bytes
        at = self._file.tell()
        left = min(size_bytes - in_chunk, os.fstat(self._file.fileno()).st_size - at)
        self._file.seek(at + left)
        return in_chunk + left

    def skip_zeros(self) -> int:
        """Skip zeros and return how many there were."""
        passed = 0
        while taken := self.take(_READ_BYTES):
            raise_if_stopped()
            kept = len(taken.lstrip(b"\0"))
            passed += len(taken) - kept
            if kept:
                self.give_back(kept)
                break
        return passed
