"""The storage of a board on another machine, which finds, flashes and reads the stick there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hil.dutlink.storage.stick_finder import APPEARS_WITHIN_S
from hil.dutlink.storage.stick_mux import Position
from hil.dutlink.storage.stick_path import usb_disks
from hil.dutlink.storage.storage import Storage
from hil.dutlink.timing import until
from hil.errors import UsageError

if TYPE_CHECKING:
    import os

    from hil.dutlink.host import RemoteStorage
    from hil.dutlink.storage.usb_sockets import UsbDisk
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.results import Flashed, ReadBack

__all__ = ["StorageElsewhere"]


class StorageElsewhere(Storage):
    """A `Storage` whose stick is on another machine; this process only turns its mux.

    Args:
        remote: Flashes and reads the stick.
        storage: The other arguments of `Storage`.
    """

    _is_remote: ClassVar[bool] = True

    def __init__(self, remote: RemoteStorage, *storage: Any) -> None:  # noqa: ANN401 - as `Storage` takes them
        super().__init__(*storage)
        self._remote = remote

    def learn(self, timeout_s: float = APPEARS_WITHIN_S, *, force: bool = False) -> UsbDisk:  # noqa: ARG002 - as `Storage.learn`
        """Refuse: the sockets of the other machine are not seen here.

        Raises:
            UsageError: Always; nothing was turned.
        """
        raise UsageError(
            f"the socket of board {self._link.serial}'s stick is not learned from this machine",
            why="the board and its stick are on another machine, whose disks are not seen here",
            remedy=f"on that machine: hil storage learn --board {self._link.serial}",
            serial=self._link.serial,
        )

    def check_unused(self) -> None:
        """Do nothing: programs of the other machine are seen there, when the mux turns."""

    def wait_for_node(self, timeout_s: float = APPEARS_WITHIN_S) -> Path:
        """Wait for the node that stands for a stick which its exporter has proven on its own host.

        Args:
            timeout_s: How long the stick may take to come, in seconds.

        Raises:
            StickMissingError: The stick did not come in time.
            BoardLostError, BoardTimeoutError: Neither did the stick come, nor does the board answer.
        """
        if self.position is not Position.HOST:
            self.host()
        self._stick.end_watch()
        node = until(lambda: next(iter(usb_disks(self._dev)), None), timeout_s)
        if node is None:
            self.check_board()
            raise self._stick.missing(timeout_s)
        return node

    def flash(
        self,
        image: str | os.PathLike[str] | Image,
        *,
        bmap: str | os.PathLike[str] | bool = True,
        progress: Progress | None = None,
        force: bool = False,
        claimed: Disk | None = None,  # noqa: ARG002 - a stick elsewhere cannot be claimed here
    ) -> Flashed:
        """Do what `Storage.flash` does, on the other machine."""
        from hil.dutlink.storage import flashing  # noqa: PLC0415 - decompressors are slow to import

        self._flashed = None
        progress = progress or self.progress
        opened = flashing.open_checked(self.off, image, bmap, progress, earlier=None)
        with self._mux.turned_remotely():
            self._flashed = self._remote.flash(opened, progress, force=force)
        return self._flashed

    def read(
        self,
        path: str | os.PathLike[str],
        *,
        size_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> ReadBack:
        """Do what `Storage.read` does, on the other machine; the file is on this one."""
        with self._mux.turned_remotely():
            return self._remote.read(Path(path), size_bytes, progress or self.progress)

    def check_image_verified(self) -> None:
        """Do what `Storage.check_image_verified` does, on the other machine."""
        self._remote.check_image_verified()
