"""The second look: what a stick holds after it went away and came back, against what it should hold."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

from hil.errors import FlashError, ImageError
from hil.flash.disk import memory
from hil.flash.equality import are_equal, are_zeros, first_difference
from hil.flash.image import Hole
from hil.flash.image_digest import ImageDigest
from hil.flash.pieces import HEAD_BYTES, Pieces

if TYPE_CHECKING:
    from hil.flash.disk import Disk, Memory
    from hil.flash.image import Image
    from hil.flash.laying import Laid
    from hil.flash.pieces import Piece
    from hil.flash.progress import Progress

__all__ = ["verify_body", "verify_head"]


def verify_body(disk: Disk, image: Image, laid: Laid, progress: Progress) -> None:
    """Compare everything behind the head, and count the image's digest; the head must still be wiped.

    An archive is not decompressed a second time: the digests that were taken from it are compared. Any other
    image is read again, so that one which changed meanwhile is found.

    Raises:
        FlashError: The stick holds something else.
        ImageError: The image changed.
        StickLostError: It is gone.
    """
    laid.head.check_wiped(disk)
    progress.begin("verify", laid.body_bytes)
    against = _against_digests if image.is_compressed else _against_image
    try:
        with ImageDigest() as digest:
            against(disk, image, laid, progress, digest)
            laid.digest = digest.result(laid.image_bytes)
    finally:
        progress.end()


def verify_head(disk: Disk, image: Image, laid: Laid, progress: Progress) -> None:
    """Compare the head; a stick with another one is made one that does not boot.

    Raises:
        FlashError: The stick holds something else.
        StickLostError: It is gone.
    """
    progress.begin("verify", laid.head_bytes)
    try:
        _check_head(disk, image, laid)
        progress.advance(laid.head_bytes)
    finally:
        progress.end()


def _check_head(disk: Disk, image: Image, laid: Laid) -> None:
    with laid.head.wiped_on_failure(disk):
        if not laid.head.is_on(disk):
            raise _wrong(image, f"its first {laid.head.size_bytes} bytes read back different")


def _against_digests(disk: Disk, image: Image, laid: Laid, progress: Progress, digest: ImageDigest) -> None:
    counted = digest.add(0, laid.head.data)
    turns = itertools.cycle((memory(), memory()))
    for proof, there in zip(laid.proofs, turns, strict=False):
        data = disk.read(there, proof.offset, proof.size_bytes)
        if hashlib.sha256(data).digest() != proof.digest:
            raise _wrong(
                image, f"bytes {proof.offset} to {proof.offset + proof.size_bytes - 1} read back different"
            )
        counted.result()  # of the other memory
        counted = digest.add(proof.offset, data)
        progress.advance(proof.size_bytes)


def _against_image(disk: Disk, image: Image, laid: Laid, progress: Progress, digest: ImageDigest) -> None:
    there = memory()
    with Pieces(image) as pieces:
        for piece in pieces:
            if isinstance(piece, Hole):
                _check_hole(disk, image, piece, there, progress)
                continue
            piece.counted.append(digest.add(piece.offset, piece.data))
            if piece.offset < HEAD_BYTES:
                _check_same(image, same=laid.head.agrees(piece.offset, piece.data))
            else:
                _check_piece(disk, image, piece, there)
                progress.advance(piece.size_bytes)
            pieces.give_back(piece)


def _check_piece(disk: Disk, image: Image, piece: Piece, there: Memory) -> None:
    data = disk.read(there, piece.offset, piece.size_bytes)
    if not are_equal(data, piece.data):
        at = piece.offset + first_difference(data, piece.data)
        raise _wrong(image, f"byte {at} reads back different")


def _check_hole(disk: Disk, image: Image, hole: Hole, there: Memory, progress: Progress) -> None:
    behind = hole.behind(HEAD_BYTES)
    if behind is None:
        return
    for begin, data in disk.pieces(there, behind.offset, behind.size_bytes):
        if not are_zeros(data):
            at = begin + first_difference(data, memoryview(bytes(len(data))))
            raise _wrong(image, f"byte {at} is not zero, as it should be")
        progress.advance(len(data))


def _check_same(image: Image, *, same: bool) -> None:
    if not same:
        raise ImageError(
            f"{image.label} changed while it was flashed",
            why="its first MiB is another one than before",
            remedy="wait until it is complete, then flash it again",
        )


def _wrong(image: Image, why: str) -> FlashError:
    return FlashError(
        f"{image.label} is not on the stick as it should be",
        why=why,
        remedy="flash it again, then try another stick: this one loses or changes what is written to it; "
        "it does not boot now",
    )
