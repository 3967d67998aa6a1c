"""The storage stick and its mux: turn it to the host or the DUT, flash it, read it."""

from __future__ import annotations

import enum
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.noun import Noun
from hil.dutlink.storage.mux_follower import Patience
from hil.dutlink.storage.mux_timing import SLOWEST_S
from hil.dutlink.storage.stick_node import APPEARS_WITHIN_S, GOES_WITHIN_S, StickNode
from hil.dutlink.storage.stick_use import Leave, Use, taken_from
from hil.dutlink.storage.usb_disks import usb_disks
from hil.dutlink.timing import until
from hil.dutlink.usb.protocol import Request, StorageAction
from hil.errors import StickLostError, StickStayedError, UsageError
from hil.flash.disk.identity import NOTHING_WRITTEN, ExpectedDisk, open_verified, wrong_disk_error
from hil.flash.disk.users import user_of
from hil.flash.progress import NoProgress

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from hil.dutlink.host import FarStick
    from hil.dutlink.storage.usb_sockets import StickMemory, UsbDisk
    from hil.dutlink.usb.control_link import ControlLink
    from hil.flash.disk.disk import Disk
    from hil.flash.fingerprint import ImageFileState
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.results import Flashed, ReadBack
    from hil.forked_child import OwnDescriptors

__all__ = ["Position", "Storage"]


class Position(enum.StrEnum):
    """Where the mux connects the stick."""

    OFF = "off"
    HOST = "host"
    DUT = "dut"


class Storage(Noun):
    """The stick and its mux.

    A disk is the stick if it was seen to go with *off* and come with *host*, or if it came at the socket
    where that was seen before; see `hil.dutlink.storage.mux_follower`. A stick that is mounted or open on
    this host is not taken away unless that is forced.

    Args:
        link: The board.
        dev: The host's device folder.
        stick: The node's path, where it is wired: it must lead to the disk that follows the mux.
        sys: The folder where the host's kernel tells about disks.
        far: Flashes and reads a stick that is on another machine.
        memory: Keeps the socket where the stick comes; None: this object alone does.
        slowest_s: Seconds after *host* until a stick that is there has come; see `Host.slowest_stick_s`.
        before_turn: Called before each turn of the mux, so that a caller can record the position as unknown.

    Attributes:
        progress: Is told how far `flash` and `read` are if they are given no other; silent at first.
        taken_from: What used the stick when it was last taken away by force; empty: nothing that is known.
    """

    progress: Progress
    taken_from: str

    def __init__(  # noqa: PLR0913, PLR0917 - where the stick is, by name
        self,
        link: ControlLink,
        dev: Path,
        stick: Path | None = None,
        sys: Path = Path("/sys"),
        far: FarStick | None = None,
        memory: StickMemory | None = None,
        slowest_s: float = SLOWEST_S,
        before_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._before_turn = before_turn
        self.progress = NoProgress()
        self.taken_from = ""
        self._link = link
        self._far = far
        self._dev = dev
        self._sys = sys
        self._stick = StickNode(link.serial, link.usb_port, dev, sys, stick, link.access, memory, slowest_s)
        self._position: Position | None = None
        self._turned_at_s = time.monotonic()
        self._turns = 0
        self._turning = threading.RLock()
        self._flashed: Flashed | None = None
        self._untouched: ImageFileState | None = None

    def __repr__(self) -> str:
        return f"<Storage of board {self._link.serial}, {self.words}>"

    @property
    def words(self) -> str:
        """Where the stick is, as far as this object knows, such as `stick at dut`."""
        match self._position:
            case None:
                return "stick as it was found"
            case Position.OFF:
                return "stick off"
            case position:
                return f"stick at {position}"

    @property
    def flashed(self) -> Flashed | None:
        """What this object flashed last and proved; None before that, and while it is not proven."""
        return self._flashed

    @property
    def position(self) -> Position | None:
        """The position as this object last set it; None before that, or when setting it failed."""
        return self._position

    @property
    def node(self) -> Path | None:
        """The stick's device node, where it is wired or was found already."""
        return self._stick.path

    @property
    def proven_node(self) -> Path | None:
        """The stick's device node, or None if no disk is there that is proven to be the stick."""
        return self.node if self._stick.here is not None else None

    @property
    def is_awaited(self) -> bool:
        """Whether the stick was given to the host, and `wait_for_node` was not called since."""
        return self._stick.is_awaited

    def host(self, *, force: bool = False) -> None:
        """Give the stick to the host; `wait_for_node` tells when it can be used.

        Where the host may have it already it is taken away first, so that it is seen to come.

        Args:
            force: Take it away although it is in use on this host.

        Raises:
            BoardFaultError, BoardLostError: The board did not take the request.
            StorageError: Another process has been looking for its stick for too long.
            StickInUseError: It is on the host, and in use.
            StickStayedError: A disk stays where the stick comes, so it does not follow the mux.
        """
        if self._position is Position.HOST and self._stick.here is not None:
            self._set(Position.HOST)
            return
        self._give(Leave.of(force=force))

    def dut(self, *, force: bool = False) -> None:
        """Give the stick to the DUT; `wait_until_gone` returns when it has left the host.

        Args:
            force: Give it although it is in use on this host, or holds an image that is not proven.

        Raises:
            StickInUseError: It is mounted or open on this host.
            FlashError: A flash ended after it had written everything, and before all was read back.
            BoardFaultError, BoardLostError: The board did not take the request.
        """
        if not force:
            self.check_proven()
        self._set(Position.DUT, leave=Leave.of(force=force))
        self._stick.end_turn()

    def off(self, *, force: bool = False, held: OwnDescriptors | None = None) -> None:
        """Cut the stick off from host and DUT, and cut its power; errors as for `dut`.

        Args:
            force: Take it away although it is in use on this host.
            held: From `Disk.hold`: keeps other programs from the stick that `claim` gave until the mux has
                turned, and is closed then.
        """
        is_ours = held is not None and self._stick.here is not None
        try:
            self._set(Position.OFF, leave=Leave.OURS if is_ours else Leave.of(force=force))
        finally:
            if held is not None:
                held.close()
        self._stick.end_turn()

    def learn(self, timeout_s: float = APPEARS_WITHIN_S, *, force: bool = False) -> UsbDisk:
        """Forget the socket where the stick comes, and watch the mux to learn it again.

        Args:
            timeout_s: How long it may take to come, each time, in seconds.
            force: Turn the mux although the stick, or what may be the stick, is in use on this host.

        Returns:
            The disk that follows the mux, which is with the host then.

        Raises:
            UsageError: The stick is on another machine, whose sockets are not seen here; nothing was turned.
            HilError: As `host` and `wait_for_node`.
        """
        if self._far is not None:
            raise UsageError(
                f"the socket of board {self._link.serial}'s stick is not learned from this machine",
                why="the board and its stick are on another machine, whose disks are not seen here",
                remedy=f"on that machine: hil storage learn --board {self._link.serial}",
                serial=self._link.serial,
            )
        leave = Leave.of(force=force)
        self._position = self._untouched = None
        self._set(Position.OFF, leave=leave)
        self._stick.forget()
        self._give(leave)
        try:
            return self._await_stick(timeout_s, leave)
        finally:
            self._stick.end_turn()

    def check_unused(self) -> None:
        """Return if nothing on this host uses the stick, as far as that is seen.

        Raises:
            StickInUseError: Something does.
        """
        if self._far is None:
            taken_from(self._link.serial, Leave.UNUSED, self._use)

    def user(self) -> str:
        """Return what uses the stick, or what may be the stick, on this host now; empty: nothing seen.

        Nothing uses the stick while the storage is off or with the DUT.
        """
        use = self._use()
        return use.why if use is not None else ""

    def _use(self) -> Use | None:
        if self._is_away:
            return None
        disks, is_certain = self._stick.possible()
        uses = (user_of(medium, self._sys, self._dev) for disk in disks for medium in disk.media)
        why = next(filter(None, uses), "")
        return Use(why, is_certain) if why else None

    def wait_for_node(self, timeout_s: float = APPEARS_WITHIN_S) -> Path:
        """Wait until the stick's node is there, has a size and is proven, and return its path.

        The path is by its place on the bus, where udev has such names: a name by serial number (`node`) may
        lead to another disk a moment later, which tells the same one.

        Call it after `host()`; without that, the stick is taken away and given to the host. On its first use
        on a host it goes and comes once more, since the first disk that comes need not be the stick.

        Args:
            timeout_s: How long it may take to come, in seconds.

        Raises:
            StickMissingError: It did not appear in time.
            StickMovedError: A disk came at another socket than the one where the stick was learned.
            BoardLostError, BoardTimeoutError: Nor does the board answer any more.
            StickAmbiguousError: Other disks came and went, so that none is proven to be the stick.
            WrongDiskError: The wiring names another disk.
        """
        if self._far is not None:
            return self._wait_for_far_node(timeout_s)
        if self._stick.here is None and not self._stick.is_awaited:
            self.host()
        try:
            disk = self._await_stick(timeout_s)
            self._stick.check_wired()
        finally:
            self._stick.end_turn()
        return self._stick.place(disk)

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
            usb_names: What it was when it was claimed before; see `BlockDevice.usb_names`.
            written: What has been written already, for errors.
            held: Keeps other programs from the stick as it was claimed before; see `off`.

        Raises:
            WrongDiskError: One of the proofs fails; the error says which, and what was written.
            StickMissingError, StickAmbiguousError, StickLostError: It did not come, others came, it went.
            StickInUseError: It is mounted or open on this host.
            StorageError: It may not be opened; another process has been looking for its stick too long.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        self.off(held=held)
        try:
            self.wait_until_gone(GOES_WITHIN_S)
            self.host()
            disk = self._await_stick(APPEARS_WITHIN_S)
            self._stick.check_wired(written)
            node = self.node or self._dev / disk.media[0].name
            expected = ExpectedDisk(
                node, self._sys, self._stick.before, usb_names, (disk.socket, disk.coming), written
            )
            return open_verified(expected, to_write=to_write, access=self._link.access)
        except StickStayedError as error:
            raise wrong_disk_error(error, written) from error
        finally:
            self._stick.end_turn()

    def wait_until_gone(self, timeout_s: float = GOES_WITHIN_S) -> None:
        """Wait until the stick's node is gone, after `dut()` or `off()`.

        Returns at once where the node is not known: what was never seen on the host cannot be missed.

        Raises:
            StickStayedError: It is still there.
        """
        self._stick.wait_until_gone(timeout_s, str(self._position))

    def flash(
        self,
        image: str | os.PathLike[str] | Image,
        *,
        bmap: str | os.PathLike[str] | bool = True,
        progress: Progress | None = None,
        force: bool = False,
        claimed: Disk | None = None,
    ) -> Flashed:
        """Write an image to the stick and prove it; a stick that holds the image already is not written.

        Afterwards the position is off, whatever happened: `dut()` gives a proven stick to the DUT.

        Args:
            image: Its path, or an image that was opened.
            bmap: Its block map; True: the one beside it, if there is one; False: none.
            progress: Is told how far it is; None: the storage's own.
            force: Write it, whatever the stick holds.
            claimed: The stick that the caller got from `claim` to be written; it is closed.

        Raises:
            ImageError: The image is damaged, or larger than the stick.
            WrongDiskError: A disk is not proven to be this board's stick; not a byte was written to it.
            FlashError: The stick does not hold what was written, or failed; it does not boot.
            StickMissingError, StickStayedError, StickAmbiguousError, StickLostError: It did not come, did
                not go, came together with others, or left in between.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        from hil.dutlink.storage import flashing  # noqa: PLC0415 - decompressors are slow to import

        source = flashing.source_of(image, bmap)
        is_same = source is not None and source == self._untouched and self._position is Position.OFF
        untouched = self._flashed if is_same else None
        self._flashed = None
        progress = progress or self.progress
        opened = flashing.opened_image(self, image, bmap, progress, untouched=untouched)
        if self._far is not None:
            with self._left_off():
                flashed = self._far.flash(opened, progress, force=force)
        else:
            stick = flashing.SameStick(self, claimed)
            flashed = flashing.flash(
                stick, opened, progress, force=force, untouched=untouched, doubt=self._stick.doubt
            )
            self._untouched = source
        self._flashed = flashed
        return flashed

    def read(
        self,
        path: str | os.PathLike[str],
        *,
        size_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> ReadBack:
        """Read the stick's bytes into a sparse file, which is there only when it is complete.

        Afterwards the position is off, whatever happened.

        Args:
            path: The file; a plain one that exists is replaced, anything else is refused.
            size_bytes: How much, from the stick's start; None: all of it.
            progress: Is told how far it is; None: the storage's own.

        Raises:
            StorageError: The stick cannot be read, or the file cannot be written.
            WrongDiskError, StickMissingError, StickStayedError, StickAmbiguousError, StickLostError: As
                `flash`.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        from hil.dutlink.storage import flashing  # noqa: PLC0415 - as above

        if self._far is not None:
            with self._left_off():
                return self._far.read(Path(path), size_bytes, progress or self.progress)
        return flashing.read(self, Path(path), size_bytes, progress or self.progress)

    @contextmanager
    def _left_off(self) -> Iterator[None]:
        """Note that the storage is off after what was done on another machine, however it ended."""
        self._link.access.check()
        self._stick.end_turn()
        self._position = None
        try:
            yield
        finally:
            self._position = Position.OFF

    def forget(self) -> None:
        """Forget position and proof: the storage is turned by other means, such as the board's shell."""
        self._position = None
        self._untouched = None

    def check_proven(self) -> None:
        """Return unless the stick may boot an image that was written and not read back.

        Raises:
            FlashError: It may.
        """
        (self._far or self._stick).check_proven()

    def check_board(self) -> None:
        """Return if the board still answers.

        Raises:
            BoardLostError, BoardTimeoutError: It does not.
        """
        self._link.wait_ready()

    def close(self) -> None:
        """Stop looking for the stick; the position stays."""
        self._stick.end_turn()

    def _give(self, leave: Leave) -> None:
        """Give the stick to the host, where it is seen to come."""
        self._stick.expect(lambda: self._away(leave))
        self._stick.note_before()
        self._set(Position.HOST)
        self._stick.turned()

    def _set(self, position: Position, after: int | None = None, leave: Leave = Leave.UNUSED) -> int:
        """Turn the mux, unless it was turned since turn number `after`; return the number of this turn.

        Every turn goes through here, so that none takes the stick from the host without asking.

        Raises:
            StickInUseError: The stick is in use on this host, and `leave` is no ground to take it.
            StickLostError: Another thread turned it.
            BoardFaultError, BoardLostError: The board did not take the request.
        """
        with self._turning:
            if after not in {None, self._turns}:
                raise StickLostError(
                    f"board {self._link.serial}: the stick was not waited for to the end",
                    why="the storage was turned while its stick was looked for",
                    remedy="turn it from one thread, or wait for the stick first",
                    serial=self._link.serial,
                )
            if position is not Position.HOST:
                self.taken_from = ""
                if self._far is None:
                    self.taken_from = taken_from(self._link.serial, leave, self._use)
            self._before_turn()
            self._turns += 1
            self._position = None
            if position is not Position.OFF:  # a board that gives no answer may have turned it all the same
                self._untouched = None
            try:
                self._link.control_out(Request.STORAGE, StorageAction[position.name])
            except BaseException:
                self._stick.end_turn()
                raise
            self._position = position
            self._turned_at_s = time.monotonic()
            return self._turns

    @property
    def _is_away(self) -> bool:
        """Whether the stick is not on the host for certain."""
        return self._position in (Position.OFF, Position.DUT)

    def _away(self, leave: Leave) -> float:
        """Make sure that the stick is not on the host; return the seconds since it was taken away."""
        if not self._is_away:
            self._set(Position.OFF, leave=leave)
        return time.monotonic() - self._turned_at_s

    def _wait_for_far_node(self, timeout_s: float) -> Path:
        """Wait for the node that stands for a stick which its exporter has proven on its own host."""
        if self._position is not Position.HOST:
            self.host()
        self._stick.end_turn()
        node = until(lambda: next(iter(usb_disks(self._dev)), None), timeout_s)
        if node is None:
            self._link.wait_ready()
            raise self._stick.missing(timeout_s)
        return node

    def _await_stick(self, timeout_s: float, leave: Leave = Leave.UNUSED) -> UsbDisk:
        """Wait for the stick; raise the error of a silent board rather than that of a missing stick."""
        mux = _WatchedMux(partial(self._set, leave=leave), self._stick, self._turns)
        disk = self._stick.wait(timeout_s, mux, Patience(APPEARS_WITHIN_S, GOES_WITHIN_S))
        if disk is None:
            self._link.wait_ready()
            raise self._stick.missing(timeout_s)
        return disk


class _WatchedMux:
    """Turns the mux while it is watched, until another thread turns it.

    Args:
        turn: Turns it, unless it was turned since a turn of that number.
        stick: Is told before and after the stick may come.
        turns: The number of the last turn.
    """

    def __init__(self, turn: Callable[[Position, int], int], stick: StickNode, turns: int) -> None:
        self._turn = turn
        self._stick = stick
        self._turns = turns

    def take_away(self) -> None:
        """Turn the storage off."""
        self._turns = self._turn(Position.OFF, self._turns)

    def give(self) -> None:
        """Give the stick to the host."""
        self._stick.note_before()
        self._turns = self._turn(Position.HOST, self._turns)
        self._stick.turned()
