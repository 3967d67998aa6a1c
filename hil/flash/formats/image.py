"""What an image is to its reader: ranges of bytes and holes in rising order, and a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future

    from hil.flash.progress import Progress

__all__ = ["Allocate", "Extent", "Hole", "Image", "SkipChecksums"]

Allocate: TypeAlias = "Callable[[int], memoryview]"
"""Returns memory for the bytes at an offset, as many as there is room for."""

SkipChecksums: TypeAlias = "Callable[[], bool]"
"""Returns True if the image is sure to be read once more, so that checksums may be left to that reading."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of an image that matter.

    Attributes:
        offset: Position of the first byte in the image.
        data: The bytes.
        pending_check: Done when no other thread reads `data` any more; None if no other thread does.
    """

    offset: int
    data: memoryview
    pending_check: Future[str] | None = None


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes of an image that are zeros but are not stored in its file.

    They matter as much as any others: tools that unpack, copy or read back an image make holes of any zeros,
    also of those within a file system's tables.

    Attributes:
        offset: Position of the first byte in the image.
        size_bytes: Number of bytes.
    """

    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        """Position of the byte after the last one."""
        return self.offset + self.size_bytes

    def after(self, offset: int) -> Hole:
        """Return the part from an offset on; empty if the hole ends before that."""
        begin = min(max(self.offset, offset), self.end)
        return Hole(begin, self.end - begin)

    def split(self, max_bytes: int) -> Iterator[Hole]:
        """Yield parts of at most `max_bytes`."""
        for begin in range(self.offset, self.end, max_bytes):
            yield Hole(begin, min(max_bytes, self.end - begin))


class Image(Protocol):
    """An image that can be read repeatedly.

    Attributes:
        label: File name, for messages.
        source_bytes: Size of the file that is read, for progress.
    """

    label: str
    source_bytes: int

    @property
    def remarks(self) -> list[str]:
        """Notes for the user that are no errors; complete once the image was read to its end."""
        ...

    def check(self, progress: Progress | None = None) -> None:
        """Check that the file is unchanged, and that a block map found beside it is the image's own.

        It may be called at any time and repeatedly; a block map is checked only once.

        Args:
            progress: Receives the progress of a check that takes a while.

        Raises:
            ImageError: The file changed, or the block map is not its own.
        """
        ...

    @property
    def is_compressed(self) -> bool:
        """Whether reading it decompresses it."""
        ...

    @property
    def is_read_once(self) -> bool:
        """Whether reading it again takes longer than SHA-256 of its content."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """Size of the disk that it describes, holes included.

        None if a compressed stream does not tell it; then it is known after `extents` has ended.
        """
        ...

    @property
    def mapped_bytes(self) -> int | None:
        """Number of bytes that `extents` yields, holes included; None if that is not known beforehand."""
        ...

    def extents(
        self, allocate: Allocate | None = None, skip_checksums: SkipChecksums | None = None
    ) -> Generator[Extent | Hole]:
        """Read the image from its start: bytes that matter, rising, without overlap, up to 4 MiB each.

        Ranges between the extents are not part of the image: a block map says that they may hold anything.

        Args:
            allocate: Returns memory for the bytes at an offset. An image may read straight into it, which
                saves a copy; it must not be reused before the extent's `pending_check` is done.
            skip_checksums: Once it returns True, the image need not compare checksums in this reading.

        Raises:
            ImageError: The image is truncated or damaged, or a checksum is wrong. It is raised before the
                iterator ends: an image that was read to its end is whole, and verified unless
                `skip_checksums` returned True.
        """
        ...
