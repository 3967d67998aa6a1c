"""Random flash cases: an image, its format, and a fault while it is flashed, all derived from one number."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tests.support.image_makers import BLOCK, COMPRESSORS, android_sparse, bmap_of, runs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS", "STICK_BYTES", "Fault", "FlashCase"]

STICK_BYTES = 8 << 20
_SMALLEST_BLOCKS, _LARGEST_BLOCKS = 16, 1536
_SLOW = ("xz", "bzip2")
_SLOW_PART = 8
"""These take so much longer that their images are so much smaller."""

_SIGNATURE_AT, _SIGNATURE = 510, b"\x55\xaa"


class Fault(enum.Enum):
    """What goes wrong."""

    NONE = enum.auto()
    SHORT_TRANSFERS = enum.auto()
    FLIPPED = enum.auto()
    DROPPED = enum.auto()
    COUNTERFEIT = enum.auto()
    REMOVED = enum.auto()
    WRITE_EIO = enum.auto()
    WRITE_ENOSPC = enum.auto()
    READ_EIO = enum.auto()
    SYNC_EIO = enum.auto()
    TRUNCATED = enum.auto()
    CORRUPTED = enum.auto()
    TOO_LARGE = enum.auto()
    INTERRUPTED = enum.auto()
    BOARD_LOST = enum.auto()

    @property
    def is_in_the_image(self) -> bool:
        """Whether the image file is what is wrong."""
        return self in {Fault.TRUNCATED, Fault.CORRUPTED, Fault.TOO_LARGE}

    @property
    def is_harmless(self) -> bool:
        """Whether flashing must succeed."""
        return self in {Fault.NONE, Fault.SHORT_TRANSFERS}

    @property
    def may_go_unnoticed(self) -> bool:
        """Whether it may have no effect by chance; then the bytes on the stick decide."""
        return self in {Fault.FLIPPED, Fault.DROPPED, Fault.COUNTERFEIT, Fault.REMOVED, Fault.CORRUPTED}

    @property
    def leaves_an_honest_stick(self) -> bool:
        """Whether the stick stores later writes correctly."""
        return self.is_in_the_image or self in {Fault.INTERRUPTED, Fault.SYNC_EIO}


FORMATS = (
    *("raw", "raw+bmap", "android", "android.gzip", "android.xz"),
    *COMPRESSORS,
    *(f"{name}+bmap" for name in COMPRESSORS),
)
_WITHOUT_SIZE = {"raw"}
"""A raw file says neither how long it should be nor what should be in it."""

_OFTEN = {Fault.NONE: 4, Fault.FLIPPED: 3, Fault.DROPPED: 3, Fault.TRUNCATED: 2, Fault.COUNTERFEIT: 2}
"""Of the others there is one each."""


@dataclass(frozen=True)
class FlashCase:
    """One image and one fault.

    Attributes:
        number: From which all of it follows.
        form: One of FORMATS.
        fault: What goes wrong.
        at: From 0 to below 1: where in the image, the file or the transfer.
        count: How many blocks the image has.
        cut: Bytes that the last block lacks.
    """

    number: int
    form: str
    fault: Fault
    at: float
    count: int
    cut: int

    @classmethod
    def of(cls, number: int) -> FlashCase:
        """Make the case with that number."""
        rng = random.Random(number)  # noqa: S311 - no secrets
        fault = rng.choices(list(Fault), [_OFTEN.get(fault, 1) for fault in Fault])[0]
        has_size = fault in {Fault.TRUNCATED, Fault.CORRUPTED}
        form = rng.choice([one for one in FORMATS if not (has_size and one in _WITHOUT_SIZE)])
        count = rng.randint(
            _SMALLEST_BLOCKS, _LARGEST_BLOCKS // (_SLOW_PART if any(one in form for one in _SLOW) else 1)
        )
        cut = (
            0
            if form.startswith("android") or fault is Fault.TOO_LARGE
            else rng.choice([0, 0, 512, 1000, 4095])
        )
        return cls(number, form, fault, rng.random(), count, cut)

    @cached_property
    def blocks(self) -> list[bytes | None]:
        """The image's blocks, None for blocks that are no part of it."""
        blocks = _blocks(random.Random(-self.number - 1), self.count)  # noqa: S311 - no secrets
        if self.fault is Fault.TOO_LARGE:
            blocks += [bytes(BLOCK)] * (STICK_BYTES // BLOCK + 1 - self.count)
        return blocks

    def __str__(self) -> str:
        return (
            f"case {self.number} ({self.form}, {self.fault.name.lower().replace('_', ' ')} at {self.at:.3f})"
        )

    @cached_property
    def content(self) -> bytes:
        """The whole image, zeros where it has nothing."""
        whole = b"".join(block or bytes(BLOCK) for block in self.blocks)
        return whole[: len(whole) - self.cut]

    @cached_property
    def mapped(self) -> list[tuple[int, bytes]]:
        """Offset and bytes of all that is part of the image."""
        content = self.content
        if self.form == "raw" or self.form in COMPRESSORS:  # no map: zeros count
            return [(0, content)]
        return [
            (first * BLOCK, content[first * BLOCK : (last + 1) * BLOCK]) for first, last in runs(self.blocks)
        ]

    @property
    def mapped_bytes(self) -> int:
        """How much is part of the image."""
        return sum(len(data) for _, data in self.mapped)

    def write(self, folder: Path) -> Path:
        """Write the image file, and its block map beside it; damaged if the case wants that."""
        image, beside = folder / "image", folder / "image.bmap"
        beside.unlink(missing_ok=True)
        image.unlink(missing_ok=True)
        form, _, mapped = self.form.partition("+")
        if mapped:
            beside.write_bytes(bmap_of(self.blocks, cut=self.cut))
        if form == "raw":
            self._write_raw(image)
        else:
            image.write_bytes(self._packed(form))
        self._damage(image)
        return image

    def _write_raw(self, image: Path) -> None:
        content = self.content
        with image.open("wb") as file:
            file.truncate(len(content))
            for first, last in runs(self.blocks):
                file.seek(first * BLOCK)
                file.write(content[first * BLOCK : (last + 1) * BLOCK])

    def _packed(self, form: str) -> bytes:
        kind, _, packed = form.partition(".")
        data = android_sparse(self.blocks) if kind == "android" else self.content
        pack = COMPRESSORS.get(packed or kind)
        return pack(data) if pack else data

    def _damage(self, image: Path) -> None:
        size = image.stat().st_size
        if self.fault is Fault.TRUNCATED:
            with image.open("r+b") as file:
                file.truncate(1 + int(self.at * (size - 1)))
        if self.fault is Fault.CORRUPTED:
            where = int(self.at * size)
            with image.open("r+b") as file:
                file.seek(where)
                byte = file.read(1)[0]
                file.seek(where)
                file.write(bytes([byte ^ 0x10]))


def _blocks(rng: random.Random, count: int) -> list[bytes | None]:
    """Runs of random bytes, of repeated words, of zeros, and of nothing; the first one can be booted."""
    blocks: list[bytes | None] = []
    while len(blocks) < count:
        kind, length = rng.choice("rrwzn"), rng.randint(1, 64)
        blocks += [_block(rng, kind) for _ in range(length)]
    first = bytearray(rng.randbytes(BLOCK))
    first[_SIGNATURE_AT : _SIGNATURE_AT + 2] = _SIGNATURE
    blocks[0] = bytes(first)
    blocks[count - 1 :] = [rng.randbytes(BLOCK)]
    return blocks


def _block(rng: random.Random, kind: str) -> bytes | None:
    if kind == "n":
        return None
    if kind == "z":
        return bytes(BLOCK)
    return rng.randbytes(BLOCK) if kind == "r" else rng.randbytes(4) * (BLOCK // 4)
