"""Write an image to a board's stick, or a stick's bytes to a file, and turn the storage off afterwards."""

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
from hil.flash.disk.identity import NOTHING_WRITTEN
from hil.flash.fingerprint import ImageFileState
from hil.flash.flashing import flash_image
from hil.flash.formats.open import open_disk_image, open_image
from hil.flash.results import Flashed, ReadBack
from hil.flash.sparse_file import SparseFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.dutlink.storage.storage import Storage
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.forked_child import OwnDescriptors

__all__ = ["SameStick", "flash", "opened_image", "read", "source_of"]

logger = logging.getLogger(__name__)


def flash(  # noqa: PLR0913 - what to write, and how
    stick: SameStick,
    image: Image,
    progress: Progress,
    *,
    force: bool,
    untouched: Flashed | None,
    doubt: Callable[[str], None],
) -> Flashed:
    """Flash; see `Storage.flash` and `flash_image`."""
    with _then_off(stick):
        try:
            write = partial(flash_image, force=force, earlier=untouched, mark_unverified=doubt)
            flashed = _flashed(write, stick, image, progress)
        except BaseException as error:
            stick.tell(error)
            raise
    for remark in image.remarks:
        logger.warning("%s", remark)
    return flashed


def _flashed(
    write: Callable[[SameStick, Image, Progress], Flashed],
    stick: SameStick,
    image: Image,
    progress: Progress,
) -> Flashed:
    try:
        return write(stick, image, progress)
    except FlashError:
        image.check()  # a file that changed is what is wrong, and not the stick
        raise


def read(storage: Storage, path: Path, size_bytes: int | None, progress: Progress) -> ReadBack:
    """Read; see `Storage.read`."""
    stick = SameStick(storage, to_write=False)
    with _then_off(stick), stick() as disk:
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
        storage: The storage of the board.
        claimed: The stick as it was claimed to be written already; None: it was not.
        to_write: Whether it is to be written.
    """

    def __init__(self, storage: Storage, claimed: Disk | None = None, *, to_write: bool = True) -> None:
        self.storage = storage
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

    def tell(self, error: BaseException) -> None:
        """Add to an error, or to Ctrl-C, what was written, if it does not say so yet, and what may boot."""
        if self.written not in str(error):
            error.add_note(self.written)
        try:
            self.storage.check_proven()
        except FlashError:
            error.add_note("the stick may boot an image that is not verified")
        except HilError:
            pass  # what went wrong first is told

    def __call__(self) -> Disk:
        """Take the stick away, and claim it when it is back; the first time that may have been done.

        It is held open until it is taken away, also when the disk is closed: nothing gets at it between.
        """
        disk, self._claimed = self._claimed, None
        if disk is None:
            held, self._held = self._held, None
            disk = self.storage.claim(
                to_write=self._to_write, usb_names=self._usb_names, written=self.written, held=held
            )
        self._held = disk.hold()
        self._usb_names = disk.usb_names
        self._given.append(disk)
        return disk

    def off(self) -> None:
        """Take the stick away; raises as `Storage.off`."""
        held, self._held = self._held, None
        self.storage.off(held=held)


def source_of(
    image: str | os.PathLike[str] | Image, bmap: str | os.PathLike[str] | bool
) -> ImageFileState | None:
    """Return what identifies an image's files; None for an image that the caller opened."""
    return ImageFileState.of(Path(image), bmap) if isinstance(image, str | os.PathLike) else None


def opened_image(
    storage: Storage,
    image: str | os.PathLike[str] | Image,
    bmap: str | os.PathLike[str] | bool,
    progress: Progress,
    *,
    untouched: Flashed | None,
) -> Image:
    """Open an image that is given by its path. If it is damaged, the storage is off afterwards.

    If the file is missing, the storage stays as it is: a wrong path need not disturb the DUT.

    Raises:
        ImageError: It is not there, or its damage shows at once.
        UsageError: It is no path and no image.
    """
    if isinstance(image, str | os.PathLike):
        try:
            if untouched is not None:  # these files were checked when they were flashed
                return open_image(image, bmap)
            # A test cannot be asked: an image of unknown content is written, with a warning.
            return open_disk_image(image, bmap, force=True, progress=progress)
        except ImageError:
            if Path(image).exists():
                with suppress(HilError):
                    storage.off()
            raise
    if not hasattr(image, "extents"):
        raise UsageError(
            f"{image!r} cannot be flashed",
            why=f"it is of type {type(image).__name__}",
            remedy="give the path of an image file",
        )
    return image


@contextmanager
def _then_off(stick: SameStick) -> Iterator[None]:
    """Take the stick from everybody afterwards, also after Ctrl-C."""
    try:
        yield
    except BaseException as error:
        try:
            stick.off()
        except StickInUseError as in_use:
            if isinstance(error, HilError) and not isinstance(error, StickInUseError):
                error.add_note(f"the mux stays as it is, since {in_use.why}")
        except HilError:
            pass  # what went wrong first is told
        if isinstance(error, StickLostError | StickMissingError):
            stick.storage.check_board()
        raise
    stick.off()


def _copy(disk: Disk, file: SparseFile, size_bytes: int, progress: Progress) -> None:
    there = allocate_buffer()
    progress.begin("read", size_bytes)
    try:
        for at in range(0, size_bytes, CHUNK_BYTES):
            data = disk.read(there, at, min(CHUNK_BYTES, size_bytes - at))
            file.write(data)
            progress.advance(len(data))
    finally:
        progress.end()
