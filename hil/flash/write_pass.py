"""The first pass over stick and image: what the stick holds already stays, the rest is written.

Comparing costs time, and a stick with another image differs everywhere. So the comparison lives on credit:
each piece that is equal earns some, each that differs spends some, and once it is spent all is written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.block_hashes import Cells
from hil.flash.boot_region import Head
from hil.flash.chunks import HEAD_BYTES, Pieces
from hil.flash.disk.compare import are_equal
from hil.flash.disk.disk import memory
from hil.flash.disk.parallel_writer import Writing
from hil.flash.formats.digest import image_digest
from hil.flash.formats.image import Hole

if TYPE_CHECKING:
    from hil.flash.block_hashes import CellDigests
    from hil.flash.chunks import Piece
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress

__all__ = ["Laid", "Span", "lay"]

_FIRST_CREDIT = 2
_MOST_CREDIT = 8


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the stick that holds a piece of an image that is not read twice.

    Attributes:
        offset: Where it begins.
        size_bytes: Its length.
    """

    offset: int
    size_bytes: int


@dataclass(slots=True)
class Laid:
    """What came of the pass.

    Attributes:
        head: The image's first MiB, which is not written yet.
        head_differs: Whether the stick has another one.
        image_bytes: Size of the image.
        seen_bytes: How much of it was looked at, holes included.
        mapped_bytes: How many of its bytes are stored in it and matter.
        body_bytes: How many there are to prove behind the head, holes included.
        written_bytes: How many were written, behind the head.
        body_changed: Whether anything behind the head was written, or made zeros.
        spans: Of an image that is read once: what is behind the head, for a second look at it.
        cells: Of such an image: what it holds, for that look.
        digest: Of the image, see `hil.flash.formats.digest`; empty where that look counts it.
        compare_s: Seconds until the first difference.
        write_s: Seconds from then until the stick had everything.
    """

    head: Head
    head_differs: bool = False
    image_bytes: int = 0
    seen_bytes: int = 0
    mapped_bytes: int = 0
    body_bytes: int = 0
    written_bytes: int = 0
    body_changed: bool = False
    spans: list[Span] = field(default_factory=list)
    cells: CellDigests = field(default_factory=dict)
    digest: str = ""
    compare_s: float = 0.0
    write_s: float = 0.0

    @property
    def head_bytes(self) -> int:
        """How much of the image is its head, holes included."""
        return min(self.image_bytes, self.head.size_bytes)


def lay(disk: Disk, image: Image, progress: Progress, *, force: bool) -> Laid:
    """Make the stick hold an image, except for its head.

    Where anything is written the stick does not boot until the head is.

    Raises:
        ImageError: The image is damaged, or larger than the stick.
        FlashError, StickLostError: The stick failed, or is gone.
    """
    _check_fits(image, disk, image.size_bytes or 0)
    return _Laying(disk, image, progress, force=force).run()


def _check_fits(image: Image, disk: Disk, known_bytes: int) -> None:
    if known_bytes > disk.size_bytes:
        so_far = "" if image.size_bytes else " or more"
        raise ImageError(
            f"{image.label} is larger than the stick",
            why=f"it has {known_bytes} bytes{so_far}, {disk.node.name} has {disk.size_bytes}",
            remedy="take a larger stick, or a smaller image",
        )


class _Laying:
    def __init__(self, disk: Disk, image: Image, progress: Progress, *, force: bool) -> None:
        self._disk = disk
        self._image = image
        self._progress = progress
        self._force = force
        self._laid = Laid(Head(disk.size_bytes))
        self._there = memory()
        self._credit = 0 if force else _FIRST_CREDIT
        self._head_seen = False
        self._began = time.monotonic()
        self._writing_since: float | None = None
        self._holes: list[Hole] = []

    def run(self) -> Laid:
        self._progress.begin("compare", self._image.mapped_bytes)
        try:
            self._pass()
        finally:
            self._progress.end()
        self._count_time()
        return self._laid

    def _pass(self) -> None:
        if self._force:
            self._begin_writing()
        with (
            Cells() as cells,
            Pieces(self._image, self._is_read_again) as pieces,
            Writing(self._disk, pieces.give_back) as writing,
        ):
            for piece in pieces:
                _check_fits(self._image, self._disk, piece.end)
                if isinstance(piece, Hole):
                    self._take_hole(piece)
                else:
                    if not self._is_read_again():
                        piece.counted.append(cells.add(piece.offset, piece.data))
                    if not self._take(piece, writing):
                        pieces.give_back(piece)
                    self._laid.mapped_bytes += piece.size_bytes
                    self._saw(piece.size_bytes)
            self._laid.image_bytes = self._image.size_bytes or 0
            if not self._is_read_again():
                self._laid.cells = cells.result()
                self._laid.digest = image_digest(self._laid.cells, self._laid.image_bytes)
        self._clear_holes()
        self._look_at_head()
        if self._laid.body_changed:
            self._disk.sync()

    def _is_read_again(self) -> bool:
        """Whether the second look is sure to read the image, too; then it counts checksums and cells."""
        return self._laid.body_changed and not self._image.is_read_once

    def _saw(self, size_bytes: int) -> None:
        self._laid.seen_bytes += size_bytes
        self._progress.advance(size_bytes)

    def _take(self, piece: Piece, writing: Writing) -> bool:
        """Do with a piece what is to be done; returns whether it is being written, and so still needed."""
        if piece.offset < HEAD_BYTES:
            self._laid.head.put(piece.offset, piece.data)
            return False
        self._laid.body_bytes += piece.size_bytes
        if self._image.is_read_once:
            self._laid.spans.append(Span(piece.offset, piece.size_bytes))
        self._look_at_head()
        if self._is_there(piece):
            return False
        self._begin_writing()
        writing.write(piece)
        self._laid.written_bytes += piece.size_bytes
        self._laid.body_changed = True
        return True

    def _take_hole(self, hole: Hole) -> None:
        """Note a hole whose zeros are not known to be on the stick; those of the head are in it already."""
        behind = hole.behind(HEAD_BYTES)
        self._saw(hole.size_bytes - behind.size_bytes)
        if not behind.size_bytes:
            return
        self._laid.body_bytes += behind.size_bytes
        self._look_at_head()
        if self._writing_since is None and self._disk.has_zeros(behind.offset, behind.size_bytes):
            self._saw(behind.size_bytes)
            return
        self._begin_writing()
        self._holes.append(behind)

    def _clear_holes(self) -> None:
        """Make them zeros, behind everything else: before that a disk would end what it writes each time."""
        for hole in self._holes:
            self._laid.body_changed = True
            for cleared in self._disk.clear(hole.offset, hole.size_bytes):
                self._saw(cleared)

    def _is_there(self, piece: Piece) -> bool:
        if not self._credit:
            return False
        equal = are_equal(self._disk.read(self._there, piece.offset, piece.size_bytes), piece.data)
        self._credit = min(self._credit + 1, _MOST_CREDIT) if equal else self._credit - 1
        return equal

    def _look_at_head(self) -> None:
        """Compare the head, once it is complete. One that was wiped says nothing of what is behind it."""
        if self._head_seen:
            return
        self._head_seen = True
        head = self._laid.head
        self._laid.head_differs = self._writing_since is not None or not head.is_on(self._disk)
        if self._laid.head_differs and self._credit and not head.is_wiped(self._disk):
            self._credit -= 1

    def _begin_writing(self) -> None:
        if self._writing_since is not None:
            return
        self._writing_since = time.monotonic()
        total = self._image.mapped_bytes
        self._progress.end()
        self._progress.begin("write", None if total is None else total - self._laid.seen_bytes)
        self._laid.head_differs = True
        self._laid.head.wipe(self._disk)

    def _count_time(self) -> None:
        now = time.monotonic()
        since = now if self._writing_since is None else self._writing_since
        self._laid.compare_s = since - self._began
        self._laid.write_s = now - since
