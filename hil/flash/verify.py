"""The second look: what a stick holds after it went away and came back, against what it should hold."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import FlashError, ImageError, StorageError, WrongDiskError
from hil.flash.block_hashes import CellCounter, Cells
from hil.flash.chunks import HEAD_BYTES, Pieces
from hil.flash.disk.compare import are_equal, are_zeros, first_difference
from hil.flash.disk.disk import PIECE_BYTES
from hil.flash.disk.read_ahead import read_ahead
from hil.flash.fingerprint import fingerprint_of_the_rest
from hil.flash.formats.digest import image_digest
from hil.flash.formats.image import Hole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hil.flash.block_hashes import Cell
    from hil.flash.chunks import Piece
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.write_pass import Laid

__all__ = ["verify"]

_AT_ONCE = 4
"""Buffers: being filled, filled, being read back, being compared."""


def verify(disk: Disk, image: Image, laid: Laid, progress: Progress, rest: str) -> None:
    """Compare everything; if anything is wrong wipe the head, so that the stick does not boot.

    Most archives are not decompressed a second time: what was counted of their cells is compared. Any other
    image is read again, so that a change since it was written is found, and its digest is counted.

    A head that reads back different is wiped only if the samples of the rest are what was written: a disk of
    which neither is may be another one with the same names. An equal head is taken for proof that this is the
    stick that was written: any difference after it wipes the head.

    Args:
        disk: The stick, after it went and came again.
        image: What it should hold.
        laid: What was written.
        progress: Is told how far it is.
        rest: `fingerprint_of_the_rest` from when the head was written.

    Raises:
        WrongDiskError: Neither the head nor the rest is what was written.
        FlashError: The stick holds something else.
        ImageError: The image changed.
        StickLostError: It is gone.
    """
    _check_head_on_disk(disk, image, laid, rest)
    with laid.head.wiped_on_failure(disk), _told(progress, laid):
        progress.advance(laid.head_bytes)
        if laid.body_changed:
            body = _Body(disk, image, laid, progress)
            if image.is_read_once:
                body.against_cells()
            else:
                body.against_image()
    laid.head.is_unproven = False


@contextmanager
def _told(progress: Progress, laid: Laid) -> Iterator[None]:
    progress.begin("verify", laid.head_bytes + (laid.body_bytes if laid.body_changed else 0))
    try:
        yield
    finally:
        progress.end()


def _check_head_on_disk(disk: Disk, image: Image, laid: Laid, rest: str) -> None:
    try:
        if laid.head.is_on(disk):
            return
    except BaseException as error:
        with suppress(StorageError):
            if fingerprint_of_the_rest(disk, laid.image_bytes) == rest:
                laid.head.wipe_after(error, disk)
        raise
    if fingerprint_of_the_rest(disk, laid.image_bytes) != rest:
        raise WrongDiskError(
            f"{disk.node.name} is not the stick that was written a moment ago, nothing was written to it",
            why="neither its first MiB nor what comes after it is what was written",
            remedy="leave the stick in and flash again; if that fails too, the stick loses what it was given",
        )
    wrong = _wrong(image, f"its first {laid.head.size_bytes} bytes read back different")
    laid.head.wipe_after(wrong, disk)
    raise wrong


@dataclass(frozen=True, slots=True)
class _Body:
    """The bytes after the head, on the stick and as they should be."""

    disk: Disk
    image: Image
    laid: Laid
    progress: Progress

    def against_cells(self) -> None:
        counter = CellCounter()
        with closing(read_ahead(self.disk, self.laid.spans)) as read:
            for span, data in read:
                self._check_cells(counter.add(span.offset, data))
                self.progress.advance(span.size_bytes)
        self._check_cells(counter.finish())

    def against_image(self) -> None:
        left = self.laid.body_bytes
        with (
            Cells() as cells,
            Pieces(self.image, at_once=_AT_ONCE) as pieces,
            closing(read_ahead(self.disk, self._body_pieces(pieces, cells))) as read,
        ):
            for piece, data in read:
                if isinstance(piece, Hole):
                    self._check_zeros(piece, data)
                else:
                    self._check_piece(piece, data)
                    pieces.give_back(piece)
                left -= piece.size_bytes
                self.progress.advance(piece.size_bytes)
            if left:
                raise self._changed(f"it has {abs(left)} bytes {'less' if left > 0 else 'more'} than before")
            self.laid.digest = image_digest(cells.result(), self.laid.image_bytes)

    def _body_pieces(self, pieces: Pieces, cells: Cells) -> Iterator[Piece | Hole]:
        """Yield what is after the head, large holes in parts; compare the head of the image on the way."""
        for piece in pieces:
            if isinstance(piece, Hole):
                yield from piece.behind(HEAD_BYTES).parts(PIECE_BYTES)
                continue
            piece.counted.append(cells.add(piece.offset, piece.data))
            if piece.offset >= HEAD_BYTES:
                yield piece
                continue
            self._check_head_of_image(piece)
            pieces.give_back(piece)

    def _check_cells(self, cells: Iterable[Cell]) -> None:
        for cell in cells:
            if cell.digest != self.laid.cells[cell.number]:
                raise _wrong(self.image, f"bytes {cell.begin} to {cell.end - 1} read back different")

    def _check_piece(self, piece: Piece, data: memoryview) -> None:
        if not are_equal(data, piece.data):
            at = piece.offset + first_difference(data, piece.data)
            raise _wrong(self.image, f"byte {at} reads back different")

    def _check_zeros(self, hole: Hole, data: memoryview) -> None:
        if not are_zeros(data):
            at = hole.offset + first_difference(data, memoryview(bytes(len(data))))
            raise _wrong(self.image, f"byte {at} is not zero, as it should be")

    def _check_head_of_image(self, piece: Piece) -> None:
        if not self.laid.head.agrees(piece.offset, piece.data):
            raise self._changed("its first MiB is another one than before")

    def _changed(self, why: str) -> ImageError:
        return ImageError(
            f"{self.image.label} changed while it was flashed",
            why=why,
            remedy="wait until it is complete, then flash it again",
        )


def _wrong(image: Image, why: str) -> FlashError:
    return FlashError(
        f"{image.label} is not on the stick as it should be",
        why=why,
        remedy="flash it again, then try another stick: this one loses or changes what is written to it",
    )
