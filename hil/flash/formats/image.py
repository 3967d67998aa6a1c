"""What an image is to whoever writes it: ranges of bytes and holes in rising order, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future

    from hil.flash.progress import Progress

__all__ = ["Extent", "Hole", "Image", "ProvenLater", "Room"]

Room: TypeAlias = "Callable[[int], memoryview]"
"""Gives memory for the bytes at an offset, as many as there is room for."""

ProvenLater: TypeAlias = "Callable[[], bool]"


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


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes of an image that are zeros, though its file does not store them.

    They matter as much as any others: who unpacks, copies or reads back an image makes holes of whatever
    zeros it has, those in the midst of a file system's tables included.

    Attributes:
        offset: Where they begin, in bytes from the image's start.
        size_bytes: How many there are.
    """

    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        """Where the next byte would belong."""
        return self.offset + self.size_bytes

    def behind(self, offset: int) -> Hole:
        """The part of it from an offset on; empty where it ends before that."""
        begin = min(max(self.offset, offset), self.end)
        return Hole(begin, self.end - begin)

    def parts(self, most_bytes: int) -> Iterator[Hole]:
        """Yield it in parts that are not larger than that."""
        for begin in range(self.offset, self.end, most_bytes):
            yield Hole(begin, min(most_bytes, self.end - begin))


class Image(Protocol):
    """An image that can be read as often as one likes.

    Attributes:
        label: What messages call it: its file name.
        size_bytes: Size of the whole, holes included; None while a compressed stream does not tell, then
            known once `extents` has come to its end.
        mapped_bytes: How many bytes `extents` gives, holes included; None where that is not known beforehand.
        source_bytes: Size of the file that is read, for progress.
        is_compressed: Whether reading it is a decompression.
        is_read_once: Whether reading it again takes longer than SHA-256 of all that is in it.
        remarks: Notes for the user that are no errors; complete once the image was read to its end.
    """

    label: str
    source_bytes: int

    @property
    def remarks(self) -> list[str]:
        """Notes for the user that are no errors."""
        ...

    def check(self, progress: Progress | None = None) -> None:
        """Check that the file is unchanged, and that a block map that was found beside it is its own.

        It may be called at any time and repeatedly; a block map is proven only once.

        Args:
            progress: Is told how far it is, where it takes a while.

        Raises:
            ImageError: The file changed, or the block map is not its own.
        """
        ...

    @property
    def is_compressed(self) -> bool:
        """Whether reading it is a decompression."""
        ...

    @property
    def is_read_once(self) -> bool:
        """Whether reading it again takes longer than SHA-256 of all that is in it."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """Size of the whole, in bytes."""
        ...

    @property
    def mapped_bytes(self) -> int | None:
        """How many bytes `extents` gives, holes included."""
        ...

    def extents(
        self, room: Room | None = None, proven_later: ProvenLater | None = None
    ) -> Generator[Extent | Hole]:
        """Read from the start: what matters, in rising order, nothing overlapping; no extent over 4 MiB.

        What lies between them is not part of the image: a map says that it may be anything.

        Args:
            room: Gives memory for what comes at an offset. An image may read straight into it, and spare a
                copy; it must not be used again before the extent's `counted` is done.
            proven_later: Whether the image is sure to be read once more; what is read from then on need not
                be held against its checksums now, and the last sentence below holds for the other time.

        Raises:
            ImageError: Truncated, corrupt, a wrong checksum; always before the iterator ends: an image
                that was read to its end is whole and proven.
        """
        ...
