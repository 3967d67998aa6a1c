"""The storage stick: turn it to the host or the DUT, flash it, read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hil.dutlink.noun import Noun
from hil.dutlink.storage.mux_timing import SLOWEST_S
from hil.dutlink.storage.stick_errors import unverified_image
from hil.dutlink.storage.stick_finder import APPEARS_WITHIN_S, GOES_WITHIN_S, StickFinder
from hil.dutlink.storage.stick_memory import OwnMemory
from hil.dutlink.storage.stick_mux import DetachReason, Position, StickMux, check_detach
from hil.errors import StickStayedError
from hil.flash.disk.open_verified import NOTHING_WRITTEN, ExpectedDisk, open_verified, wrong_disk_error
from hil.flash.progress import NoProgress

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from hil.dutlink.storage.stick_memory import StickMemory
    from hil.dutlink.storage.usb_sockets import UsbDisk
    from hil.dutlink.usb.control_link import ControlLink
    from hil.flash.disk.disk import Disk
    from hil.flash.fingerprint import ImageFileState
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.results import Flashed, ReadBack
    from hil.forked_child import OwnDescriptors

__all__ = ["Position", "Storage"]


class _FlashedFiles(NamedTuple):
    """What the last verified flash put on the stick.

    Attributes:
        files: The state of the image's files; None: there was no flash, or its image was given open.
        changes: `Storage.changes` after it.
    """

    files: ImageFileState | None = None
    changes: int = 0


class Storage(Noun):
    """The stick and its mux.

    A disk is the stick if it was seen to go with *off* and come with *host*, or if it came at the socket
    where that was seen before; see `hil.dutlink.storage.stick_proof`. A stick that is mounted or open on
    this host is not taken away unless that is forced.

    Args:
        link: The control link to the board.
        dev: The host's device folder.
        stick: The node's path, if it is wired: it must lead to the disk that follows the mux.
        sys: The folder of the host's kernel for disks.
        memory: Keeps the socket at which the stick comes; None: only this object does.
        slowest_s: The longest time that a stick needs to come; see `Host.slowest_stick_s`.
        before_turn: Called before each turn of the mux, so that a caller can record the position as unknown.

    Attributes:
        progress: Receives the progress of `flash` and `read` unless they are given another; silent by
            default.
    """

    progress: Progress
    _is_remote: ClassVar[bool] = False

    def __init__(  # noqa: PLR0913, PLR0917 - where the stick is, by name
        self,
        link: ControlLink,
        dev: Path,
        stick: Path | None = None,
        sys: Path = Path("/sys"),
        memory: StickMemory | None = None,
        slowest_s: float = SLOWEST_S,
        before_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self.progress = NoProgress()
        self._link = link
        self._dev = dev
        self._sys = sys
        self._memory = memory if memory is not None and link.usb_port else OwnMemory()
        self._stick = StickFinder(
            link.serial, link.usb_port, dev, sys, stick, link.access, self._memory, slowest_s
        )
        self._mux = StickMux(link, self._stick, dev, sys, before_turn, self._is_remote)
        self._flashed: Flashed | None = None
        self._flashed_files = _FlashedFiles()

    def __repr__(self) -> str:
        return f"<Storage of board {self._link.serial}, {self.words}>"

    @property
    def words(self) -> str:
        """Where the stick is, as far as this object knows, such as `stick at dut`."""
        match self.position:
            case None:
                return "stick as it was found"
            case Position.OFF:
                return "stick off"
            case position:
                return f"stick at {position}"

    @property
    def flashed(self) -> Flashed | None:
        """The last verified flash; None before that, and while another flash runs or has failed."""
        return self._flashed

    @property
    def position(self) -> Position | None:
        """The position that this object set last, or None if the stick may be elsewhere.

        That is so before this object has set one, if setting it failed, and after another object, or a
        program under this process's lease, has turned the mux.
        """
        return self._mux.position

    @property
    def taken_from(self) -> str:
        """The program from which the stick was last taken by force; empty if none was seen."""
        return self._mux.taken_from

    @property
    def changes(self) -> int:
        """A number that grows each time that the stick may be changed through the mux.

        Programs under this process's lease count, too.
        """
        return self._mux.changes

    @property
    def node(self) -> Path | None:
        """The stick's device node, if it is wired or was found already."""
        return self._stick.path

    @property
    def verified_node(self) -> Path | None:
        """The stick's device node, or None if no disk is there that is proven to be the stick.

        A stick that was turned away from the host is on its bus for a moment longer; it does not count.
        """
        return self.node if not self._mux.is_detached and self._stick.here is not None else None

    @property
    def is_awaited(self) -> bool:
        """Whether the stick was turned to the host, and `wait_for_node` was not called since."""
        return self._stick.is_awaited

    def host(self, *, force: bool = False) -> None:
        """Turn the stick to the host; `wait_for_node` returns when it can be used.

        If the host may have it already, it is taken away first, so that it is seen to come.

        Args:
            force: Take it away even if it is in use on this host.

        Raises:
            BoardFaultError, BoardLostError: The board did not take the request.
            StorageError: Another process has been looking for its stick for too long.
            StickInUseError: The stick is on the host, and in use.
            StickStayedError: A disk stays where the stick comes, so it does not follow the mux.
        """
        if self.position is Position.HOST and self._stick.here is not None:
            self._mux.set_position(Position.HOST)
            return
        self._mux.attach(DetachReason.of(force=force))

    def dut(self, *, force: bool = False) -> None:
        """Turn the stick to the DUT; `wait_until_gone` returns when it has left the host.

        Args:
            force: Do so even if it is in use on this host, or holds an image that is not verified.

        Raises:
            StickInUseError: The stick is mounted or open on this host.
            FlashError: A flash ended after everything was written, and before all was read back.
            BoardFaultError, BoardLostError: The board did not take the request.
        """
        if not force:
            self.check_image_verified()
        self._mux.set_position(Position.DUT, DetachReason.of(force=force))
        self._stick.end_watch()

    def off(self, *, force: bool = False, held: OwnDescriptors | None = None) -> None:
        """Detach the stick from host and DUT, which cuts its power; errors as for `dut`.

        Args:
            force: Take it away even if it is in use on this host.
            held: From `Disk.keep_locked`: keeps other programs from the stick that `claim` returned, until
                the mux has turned; it is closed then.
        """
        is_ours = held is not None and self._stick.here is not None
        try:
            self._mux.set_position(
                Position.OFF, DetachReason.OURS if is_ours else DetachReason.of(force=force)
            )
        finally:
            if held is not None:
                held.close()
        self._stick.end_watch()

    def learn(self, timeout_s: float = APPEARS_WITHIN_S, *, force: bool = False) -> UsbDisk:
        """Forget the socket at which the stick comes, and watch the mux to learn it again.

        Args:
            timeout_s: How long the stick may take to come, each time, in seconds.
            force: Turn the mux even if the stick, or a disk that may be it, is in use on this host.

        Returns:
            The disk that follows the mux; it is attached to the host.

        Raises:
            UsageError: The stick is on another machine; nothing was turned.
            HilError: As `host` and `wait_for_node`.
        """
        reason = DetachReason.of(force=force)
        self.forget()
        self._mux.set_position(Position.OFF, reason)
        self._stick.forget()
        self._mux.attach(reason)
        try:
            return self._mux.wait_for_stick(timeout_s, reason)
        finally:
            self._stick.end_watch()

    def check_unused(self) -> None:
        """Raise StickInUseError if a program on this host is seen to use the stick.

        Raises:
            StickInUseError: A program uses it.
        """
        check_detach(self._link.serial, DetachReason.UNUSED, self._mux.use)

    def user(self) -> str:
        """Return what uses the stick, or a disk that may be it, on this host now; empty if nothing is seen.

        Nothing uses the stick while the storage is off or turned to the DUT.
        """
        use = self._mux.use()
        return use.why if use is not None else ""

    def wait_for_node(self, timeout_s: float = APPEARS_WITHIN_S) -> Path:
        """Wait until the stick's node is there, has a size and is proven, and return its path.

        The path names the stick by its place on the bus, if udev has such names: a name by serial number
        (`node`) may lead to another disk with the same serial number a moment later.

        Call it after `host()`; otherwise the stick is taken away and turned to the host here. When a stick is
        used on a host for the first time, it goes and comes once more, since the first disk that comes need
        not be the stick.

        Args:
            timeout_s: How long the stick may take to come, in seconds.

        Raises:
            StickMissingError: The stick did not come in time.
            StickMovedError: A disk came at another socket than the one where the stick was learned.
            BoardLostError, BoardTimeoutError: Neither did the stick come, nor does the board answer.
            StickAmbiguousError: Other disks came and went, so that none is proven to be the stick.
            WrongDiskError: The wiring names another disk.
        """
        is_here = self._stick.here is not None or self._stick.is_awaited
        if self.position is not Position.HOST or not is_here:
            self.host()
        try:
            disk = self._mux.wait_for_stick(timeout_s)
            self._stick.check_wired()
        finally:
            self._stick.end_watch()
        return self._stick.paths.by_place(disk)

    def claim(
        self,
        *,
        to_write: bool,
        usb_names: tuple[str, ...] = (),
        written: str = NOTHING_WRITTEN,
        held: OwnDescriptors | None = None,
    ) -> Disk:
        """Turn the storage off, then to the host, and open the disk that is proven to be the stick.

        Args:
            to_write: Whether it is to be written.
            usb_names: Its names at an earlier claim, which it must still have; see `BlockDevice.usb_names`.
            written: What has been written already, for errors.
            held: Keeps other programs from the stick since an earlier claim; see `off`.

        Raises:
            WrongDiskError: A proof fails; the error says which, and what was written.
            StickMissingError, StickAmbiguousError, StickLostError: The stick did not come, other disks came
                too, or it left.
            StickInUseError: The stick is mounted or open on this host.
            StorageError: The stick may not be opened, or another process has been looking for its stick for
                too long.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        self.off(held=held)
        try:
            self.wait_until_gone(GOES_WITHIN_S)
            self.host()
            disk = self._mux.wait_for_stick(APPEARS_WITHIN_S)
            self._stick.check_wired(written)
            node = self.node or self._dev / disk.media[0].name
            expected = ExpectedDisk(
                node, self._sys, self._stick.before, usb_names, (disk.socket, disk.plug_number), written
            )
            return open_verified(expected, to_write=to_write, access=self._link.access)
        except StickStayedError as error:
            raise wrong_disk_error(error, written) from error
        finally:
            self._stick.end_watch()

    def wait_until_gone(self, timeout_s: float = GOES_WITHIN_S) -> None:
        """Wait until the stick's node is gone, after `dut()` or `off()`.

        Return at once if the node is not known.

        Raises:
            StickStayedError: The stick is still there.
        """
        self._stick.wait_until_gone(timeout_s, str(self.position))

    def flash(
        self,
        image: str | os.PathLike[str] | Image,
        *,
        bmap: str | os.PathLike[str] | bool = True,
        progress: Progress | None = None,
        force: bool = False,
        claimed: Disk | None = None,
    ) -> Flashed:
        """Write an image to the stick and verify it; a stick that holds the image already is not written.

        Afterwards the position is off, however it ended: `dut()` turns a verified stick to the DUT.

        Args:
            image: Its path, or an open image.
            bmap: Its block map; True: the one next to it, if there is one; False: none.
            progress: Receives the progress; None: the storage's own.
            force: Write everything, even if the stick holds it already.
            claimed: The stick that the caller got from `claim` to be written; it is closed.

        Raises:
            ImageError: The image is damaged, or larger than the stick.
            WrongDiskError: A disk is not proven to be this board's stick; nothing was written to it.
            FlashError: The stick does not hold what was written, or failed; it does not boot.
            StickMissingError, StickStayedError, StickAmbiguousError, StickLostError: The stick did not
                come, did not go, came together with other disks, or left in between.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        from hil.dutlink.storage import flashing  # noqa: PLC0415 - decompressors are slow to import

        files = flashing.files_of(image, bmap)
        is_same_image = files is not None and files == self._flashed_files.files  # no file was replaced
        is_unchanged = self._mux.changes == self._flashed_files.changes  # neither DUT nor host had the stick
        is_off = self.position is Position.OFF  # nor has either now
        earlier = self._flashed if is_same_image and is_unchanged and is_off else None
        self._flashed = None
        progress = progress or self.progress
        opened = flashing.open_checked(self.off, image, bmap, progress, earlier=earlier)
        self._flashed = flashing.flash(
            flashing.SameStick(self.claim, self.off, progress, claimed),
            opened,
            progress,
            force=force,
            earlier=earlier,
            mark_unverified=self._memory.mark_unverified,
            check_image_verified=self.check_image_verified,
            check_board=self.check_board,
        )
        self._flashed_files = _FlashedFiles(files, self._mux.changes)
        return self._flashed

    def read(
        self,
        path: str | os.PathLike[str],
        *,
        size_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> ReadBack:
        """Read the stick's bytes into a sparse file, which appears only when it is complete.

        Afterwards the position is off, however it ended.

        Args:
            path: The file; a regular one that exists is replaced, anything else is refused.
            size_bytes: How much, from the stick's start; None: all of it.
            progress: Receives the progress; None: the storage's own.

        Raises:
            StorageError: The stick cannot be read, or the file cannot be written.
            WrongDiskError, StickMissingError, StickStayedError, StickAmbiguousError, StickLostError: As
                `flash`.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        from hil.dutlink.storage import flashing  # noqa: PLC0415 - decompressors are slow to import

        progress = progress or self.progress
        stick = flashing.SameStick(self.claim, self.off, progress, to_write=False)
        return flashing.read(stick, Path(path), size_bytes, progress, check_board=self.check_board)

    def forget(self) -> None:
        """Forget the position and what was flashed: the mux may be turned by other means, as by the shell."""
        self._mux.forget()

    def check_image_verified(self) -> None:
        """Raise FlashError if the stick may boot an unverified image.

        Raises:
            FlashError: An image was written to the stick and not read back.
        """
        if image := self._memory.unverified_image():
            raise unverified_image(self._link.serial, image)

    def check_board(self) -> None:
        """Check that the board still answers.

        Raises:
            BoardLostError: The board left the bus.
            BoardTimeoutError: The board does not answer in time.
        """
        self._link.wait_ready()

    def close(self) -> None:
        """Stop looking for the stick; the position stays."""
        self._stick.end_watch()
