"""SHA-256 of each MiB of an image: verifies what a stick holds of an archive, and names an image.

Parts of a block that the image does not store count as zeros. A block of which the image stores nothing has
no hash.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

__all__ = ["ZERO_BLOCK", "BlockDigests", "BlockHash", "BlockHasher", "BlockHasherThread", "image_digest"]

_BLOCK_BYTES: Final = 1024 * 1024
_ZEROS: Final = memoryview(bytes(_BLOCK_BYTES))

ZERO_BLOCK: Final = hashlib.sha256(_ZEROS).digest()
"""SHA-256 of a block of zeros."""

BlockDigests: TypeAlias = "dict[int, bytes]"
"""SHA-256 of blocks by block number, in rising order."""


@dataclass(frozen=True, slots=True)
class BlockHash:
    """The hash of one block.

    Attributes:
        number: The block's offset in MiB.
        begin: Offset of the first byte of it that was added, from the image's start.
        end: Offset after the last byte of it that was added.
        digest: SHA-256 of the block.
    """

    number: int
    begin: int
    end: int
    digest: bytes


class BlockHasher:
    """Hashes bytes that are added in rising order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._begin = self._end = 0

    def add(self, offset: int, data: memoryview) -> Iterator[BlockHash]:
        """Hash the bytes at an offset and yield each block that they complete. Exhaust the iterator."""
        while data:
            if offset // _BLOCK_BYTES != self._begin // _BLOCK_BYTES:
                yield from self.finish()
            part = data[: _BLOCK_BYTES - offset % _BLOCK_BYTES]
            self._add_part(offset, part)
            offset, data = offset + len(part), data[len(part) :]
            if offset % _BLOCK_BYTES == 0:
                yield from self.finish()

    def finish(self) -> Iterator[BlockHash]:
        """Yield the block that was started, if any; the rest of it counts as zeros."""
        if self._begin == self._end:
            return
        number = self._begin // _BLOCK_BYTES
        self._hash.update(_ZEROS[: (number + 1) * _BLOCK_BYTES - self._end])
        yield BlockHash(number, self._begin, self._end, self._hash.digest())
        self._hash = hashlib.sha256()
        self._begin = self._end

    def _add_part(self, offset: int, part: memoryview) -> None:
        """Hash bytes of one block."""
        if self._begin == self._end:  # they are the block's first ones
            self._begin = offset
            self._end = offset - offset % _BLOCK_BYTES
        self._hash.update(_ZEROS[: offset - self._end])
        self._hash.update(part)
        self._end = offset + len(part)


class BlockHasherThread:
    """Hashes blocks in a thread of its own; use it in a `with` block."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "hashes")
        self._hasher = BlockHasher()
        self._digests: BlockDigests = {}

    def add(self, offset: int, data: memoryview) -> Future[None]:
        """Start to hash the bytes at an offset; `data` must not change until the future is done."""
        return self._worker.submit(self._add, offset, data)

    def result(self) -> BlockDigests:
        """Wait until everything is hashed, and return the digests."""
        self._worker.submit(self._finish).result()
        return self._digests

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)

    def _add(self, offset: int, data: memoryview) -> None:
        self._keep(self._hasher.add(offset, data))

    def _finish(self) -> None:
        self._keep(self._hasher.finish())

    def _keep(self, hashes: Iterator[BlockHash]) -> None:
        for block in hashes:
            self._digests[block.number] = block.digest


def image_digest(blocks: BlockDigests, image_bytes: int) -> str:
    """Return a digest that names an image by its content: two builds of one name and size differ in it.

    Blocks of zeros do not count: holes, unmapped ranges and written zeros give the same digest, as do an
    image and its archive. The history stores these digests, so the definition must never change.

    Args:
        blocks: The digests of all blocks of the image.
        image_bytes: Size of the image, holes included.

    Returns:
        SHA-256, hexadecimal, of number and digest of each block that is not all zeros, and of the size.
    """
    digest = hashlib.sha256()
    for number, block in blocks.items():
        if block != ZERO_BLOCK:
            digest.update(b"%d %b\n" % (number, block))
    digest.update(b"%d" % image_bytes)
    return digest.hexdigest()
