"""Magic numbers, decompressors, their memory, and allowed tails of gzip, bzip2, xz, zstd and LZ4 files.

Every file that the format's own tool accepts is accepted here.
Sources: RFC 8878, 3.1.1.1 (zstd frame header); proc_meminfo(5); the kernel's cgroup-v2.rst.
"""

from __future__ import annotations

import bz2
import enum
import lzma
import resource
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

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
    "UnsupportedArchiveError",
    "available_bytes",
    "detect_compression",
    "is_truncated_magic",
    "zstd_decoder_bytes",
]

if sys.version_info >= (3, 14):
    from compression import zstd  # pragma: no cover
else:
    from backports import zstd

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


_ALWAYS_BYTES = 192 << 20
"""Always allowed: it suffices for zstd's default window (128 MiB) and `xz -9` (65 MiB)."""

_MOST_BYTES = (2 << 30) + (64 << 20)
_PART = 0.75
_FRAME_BYTES = 1 << 20
"""Memory of a decoder besides its window: blocks of 128 KiB, and tables."""

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_DICTIONARY_BYTES = (0, 1, 2, 4)
_SIZE_BYTES = (0, 2, 4, 8)


class UnsupportedArchiveError(Exception):
    """A sound archive cannot be decompressed here; the message says why."""


def zstd_decoder_bytes(start: bytes) -> int:
    """Return the bytes of memory that decompressing a zstd frame takes, by its first bytes.

    Raises:
        UnsupportedArchiveError: The frame needs a dictionary.
    """
    if len(start) < 6:  # noqa: PLR2004 - magic, descriptor, and a byte of window or size
        return 0
    descriptor = start[4]
    single = bool(descriptor & 0x20)
    at = 5 if single else 6
    dictionary = _DICTIONARY_BYTES[descriptor & 3]
    if any(start[at : at + dictionary]):
        raise UnsupportedArchiveError("it was compressed with a dictionary, which it does not hold")
    at += dictionary
    size_bytes = 1 if single and descriptor < 0x40 else _SIZE_BYTES[descriptor >> 6]  # noqa: PLR2004 - RFC 8878
    has_size = size_bytes > 0 and len(start) >= at + size_bytes
    content = int.from_bytes(start[at : at + size_bytes], "little") + (256 if size_bytes == 2 else 0)  # noqa: PLR2004 - RFC 8878
    if single:
        return content + _FRAME_BYTES
    base = 1 << (10 + (start[5] >> 3))
    window = base + (base >> 3) * (start[5] & 7)
    return (min(window, content) if has_size else window) + _FRAME_BYTES


def available_bytes() -> int:
    """Return how much memory decompressing an archive may take, in bytes.

    It is three quarters of the smallest amount that the host, the control groups and the process's own limit
    leave, but at least 192 MiB and at most what zstd's largest window takes.
    """
    limits = [_host_bytes(), *_cgroup_bytes()]
    soft, _hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return max(_ALWAYS_BYTES, min(_MOST_BYTES, int(_PART * min(limits))))


def _host_bytes() -> int:
    with suppress(OSError, ValueError):
        for line in (_PROC / "meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return _MOST_BYTES


def _cgroup_bytes() -> list[int]:
    """Return the bytes that each control group of this process leaves; cached files count as free."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = (_PROC / "self" / "cgroup").read_text("utf-8").splitlines()
        group = _CGROUPS / next(line[3:] for line in lines if line.startswith("0::")).lstrip("/")
        while group != _CGROUPS and _CGROUPS in group.parents:
            with suppress(OSError, ValueError):
                most = (group / "memory.max").read_text("ascii").strip()
                if most != "max":
                    found.append(int(most) - _unreclaimable_bytes(group))
            group = group.parent
    return found


def _unreclaimable_bytes(group: Path) -> int:
    for line in (group / "memory.stat").read_text("ascii").splitlines():
        if line.startswith("anon "):
            return int(line.split()[1])
    return 0
