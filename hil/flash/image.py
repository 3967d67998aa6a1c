"""What an image is to whoever writes it: ranges of bytes in rising order, and how large the whole is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future

__all__ = ["Extent", "Image", "Room"]

Room: TypeAlias = "Callable[[int], memoryview]"
"""Gives memory for the bytes at an offset, as many as there is room for."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of an image that matter.

    Attributes:
        offset: Where they begin, in bytes from the image's start.
        data: The bytes.
        counted: Done once nobody reads `data` beside who took it; None: nobody does.
    """

    offset: int
    data: memoryview
    counted: Future[str] | None = None


class Image(Protocol):
    """An image that can be read as often as one likes.

    Attributes:
        label: What messages call it: its file name.
        size_bytes: Size of the whole, holes included; None while a compressed stream does not tell, then
            known once `extents` has come to its end.
        mapped_bytes: How many bytes `extents` gives; None where that is not known beforehand.
        source_bytes: Size of the file that is read, for progress.
        is_compressed: Whether reading it again costs a decompression.
    """

    label: str
    source_bytes: int

    @property
    def is_compressed(self) -> bool:
        """Whether reading it again costs a decompression."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """Size of the whole, in bytes."""
        ...

    @property
    def mapped_bytes(self) -> int | None:
        """How many bytes `extents` gives."""
        ...

    def extents(self, room: Room | None = None) -> Generator[Extent]:
        """Read from the start: the ranges that matter, in rising order, none overlapping, none over 4 MiB.

        What lies between them is not part of the image: holes, unmapped ranges.

        Args:
            room: Gives memory for what comes at an offset. An image may read straight into it, and spare a
                copy; it must not be used again before the extent's `counted` is done.

        Raises:
            ImageError: Truncated, corrupt, a wrong checksum; always before the iterator ends: an image
                that was read to its end is whole and proven.
        """
        ...
