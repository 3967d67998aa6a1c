"""Write an image to a board's stick, or read the stick into a file, and turn the storage off afterwards."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import (
    FlashError,
    HilError,
    ImageError,
    StickInUseError,
    StickLostError,
    StickMissingError,
    StorageError,
    UsageError,
)
from hil.flash.disk.disk import CHUNK_BYTES, allocate_buffer
from hil.flash.disk.open_verified import NOTHING_WRITTEN
from hil.flash.fingerprint import ImageFileState
from hil.flash.flash_image import flash_image
from hil.flash.formats.open import open_disk_image, open_image
from hil.flash.progress import STICK_PHASE
from hil.flash.results import Flashed, ReadBack
from hil.flash.sparse_file import SparseFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.forked_child import OwnDescriptors

__all__ = ["SameStick", "files_of", "flash", "open_checked", "read"]

logger = logging.getLogger(__name__)


def flash(  # noqa: PLR0913 - what to write, how, and what to ask of the storage
    stick: SameStick,
    image: Image,
    progress: Progress,
    *,
    force: bool,
    earlier: Flashed | None,
    mark_unverified: Callable[[str], None],
    check_image_verified: Callable[[], None],
    check_board: Callable[[], None],
) -> Flashed:
    """Flash an image, then turn the storage off; see `Storage.flash` and `flash_image`.

    Args:
        stick: The stick.
        image: The image.
        progress: Receives the progress.
        force: Write everything, even if the stick holds it already.
        earlier: See `flash_image`.
        mark_unverified: See `flash_image`.
        check_image_verified: Raises FlashError if the stick may boot an image that is not verified.
        check_board: Raises the error of a board that does not answer.
    """
    write = partial(
        flash_image,
        stick.reattach,
        image,
        progress,
        force=force,
        earlier=earlier,
        mark_unverified=mark_unverified,
    )
    with _then_off(stick, check_board):
        try:
            flashed = _flash_or_blame_image(image, write)
        except BaseException as error:
            stick.add_note(error, check_image_verified)
            raise
    for remark in image.remarks:
        logger.warning("%s", remark)
    return flashed


def _flash_or_blame_image(image: Image, write: Callable[[], Flashed]) -> Flashed:
    """Flash, and raise the error of an image file that changed in place of a FlashError."""
    try:
        return write()
    except FlashError:
        image.check()
        raise


def read(
    stick: SameStick,
    path: Path,
    size_bytes: int | None,
    progress: Progress,
    *,
    check_board: Callable[[], None],
) -> ReadBack:
    """Read the stick into a file, then turn the storage off; see `Storage.read`."""
    with _then_off(stick, check_board), stick.reattach() as disk:
        began = time.monotonic()
        wanted = disk.size_bytes if size_bytes is None else size_bytes
        if not 0 < wanted <= disk.size_bytes:
            raise StorageError(
                f"{wanted} bytes cannot be read from {disk.node.name}",
                why=f"it has {disk.size_bytes}",
                remedy="ask for fewer, or for all of them: without a size",
            )
        with SparseFile(path) as file:
            _copy(disk, file, wanted, progress)
        return ReadBack(path, wanted, disk.node, time.monotonic() - began)


class SameStick:
    """Claim the same stick several times, and refuse another one in its place.

    Args:
        claim: `Storage.claim`.
        off: `Storage.off`.
        progress: Is told that the stick is waited for.
        claimed: The stick, if the caller has claimed it to be written already.
        to_write: Whether it is to be written.
    """

    def __init__(
        self,
        claim: Callable[..., Disk],
        off: Callable[..., None],
        progress: Progress,
        claimed: Disk | None = None,
        *,
        to_write: bool = True,
    ) -> None:
        self._claim = claim
        self._off = off
        self._progress = progress
        self._claimed = claimed
        self._to_write = to_write
        self._held: OwnDescriptors | None = None
        self._usb_names: tuple[str, ...] = ()
        self._given: list[Disk] = []

    @property
    def written(self) -> str:
        """What has been written to the stick, in words."""
        written = [disk for disk in self._given if disk.written_bytes]
        if not written:
            return NOTHING_WRITTEN
        written_bytes = sum(disk.written_bytes for disk in written)
        return f"up to {written_bytes} bytes were written to {written[-1].node.name} before that"

    def add_note(self, error: BaseException, check_image_verified: Callable[[], None]) -> None:
        """Add to an error what was written, unless it says so, and whether the stick may boot."""
        if self.written not in str(error):
            error.add_note(self.written)
        try:
            check_image_verified()
        except FlashError:
            error.add_note("the stick may boot an image that is not verified")
        except HilError:
            pass  # the first error is reported

    def reattach(self) -> Disk:
        """Detach the stick, attach it again and claim it; the first time, the caller may have done that.

        The disk is held open until it is detached, even after it is closed, so that no other program gets it.
        """
        disk, self._claimed = self._claimed, None
        if disk is None:
            held, self._held = self._held, None
            disk = self._wait_for_disk(held)
        self._held = disk.keep_locked()
        self._usb_names = disk.usb_names
        self._given.append(disk)
        return disk

    def _wait_for_disk(self, held: OwnDescriptors | None) -> Disk:
        self._progress.begin(STICK_PHASE, None)
        try:
            return self._claim(
                to_write=self._to_write, usb_names=self._usb_names, written=self.written, held=held
            )
        finally:
            self._progress.end()

    def off(self) -> None:
        """Turn the storage off; raises what `Storage.off` raises."""
        held, self._held = self._held, None
        self._off(held=held)


def files_of(
    image: str | os.PathLike[str] | Image, bmap: str | os.PathLike[str] | bool
) -> ImageFileState | None:
    """Return the state of an image's files; None if the caller opened the image."""
    return ImageFileState.of(Path(image), bmap) if isinstance(image, str | os.PathLike) else None


def open_checked(
    off: Callable[[], None],
    image: str | os.PathLike[str] | Image,
    bmap: str | os.PathLike[str] | bool,
    progress: Progress,
    *,
    earlier: Flashed | None,
) -> Image:
    """Open an image that is given by its path; if it is damaged, turn the storage off.

    If the file does not exist, the storage stays as it is: a wrong path need not disturb the DUT.

    Raises:
        ImageError: The file does not exist, or is found to be damaged.
        UsageError: The argument is neither a path nor an image.
    """
    if isinstance(image, str | os.PathLike):
        try:
            if earlier is not None:  # these files were checked when they were flashed
                return open_image(image, bmap)
            # A test cannot answer a question, so an image of unknown content is written, with a warning.
            return open_disk_image(image, bmap, force=True, progress=progress)
        except ImageError:
            if Path(image).exists():
                with suppress(HilError):
                    off()
            raise
    if not hasattr(image, "extents"):
        raise UsageError(
            f"{image!r} cannot be flashed",
            why=f"it is of type {type(image).__name__}",
            remedy="give the path of an image file",
        )
    return image


@contextmanager
def _then_off(stick: SameStick, check_board: Callable[[], None]) -> Iterator[None]:
    """Turn the storage off after the block, also after Ctrl-C."""
    try:
        yield
    except BaseException as error:
        try:
            stick.off()
        except StickInUseError as in_use:
            if isinstance(error, HilError) and not isinstance(error, StickInUseError):
                error.add_note(f"the mux stays as it is, since {in_use.why}")
        except HilError:
            pass  # the first error is reported
        if isinstance(error, StickLostError | StickMissingError):
            check_board()
        raise
    stick.off()


def _copy(disk: Disk, file: SparseFile, size_bytes: int, progress: Progress) -> None:
    buffer = allocate_buffer()
    progress.begin("read", size_bytes)
    try:
        for at in range(0, size_bytes, CHUNK_BYTES):
            data = disk.read(buffer, at, min(CHUNK_BYTES, size_bytes - at))
            file.write(data)
            progress.advance(len(data))
    finally:
        progress.end()
