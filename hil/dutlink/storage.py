"""The storage stick and its mux: who sees it, and what is written to it and read from it."""

from __future__ import annotations

import enum
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.requests import Request, StorageAction
from hil.dutlink.stick_node import APPEARS_WITHIN_S, GOES_WITHIN_S, StickNode
from hil.errors import StickStayedError
from hil.flash.progress import Silent
from hil.flash.proof import Expected, not_proven, open_proven

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from hil.dutlink.host import FarStick
    from hil.dutlink.link import Link
    from hil.flash.disk import Disk
    from hil.flash.fingerprint import Source
    from hil.flash.image import Image
    from hil.flash.outcome import Flashed, ReadBack
    from hil.flash.progress import Progress

__all__ = ["Position", "Storage"]


class Position(enum.StrEnum):
    """Who sees the stick."""

    OFF = "off"
    HOST = "host"
    DUT = "dut"


class Storage:
    """The stick and its mux.

    Where the wiring does not name the stick's node, it is found by following the mux: it is the one USB disk
    that appears after `host()`. Other boards of this host that look for theirs wait for each other meanwhile;
    the turn ends with `wait_for_node`, with any other position, or after the time a stick needs at most.

    Args:
        link: The board.
        dev: The host's device folder.
        stick: The node's path, where it is known.
        sys: The folder where the host's kernel tells about disks.
        far: Who flashes and reads the stick, where it is on another machine.

    Attributes:
        progress: Is told how far `flash` and `read` are, where they are given nobody else; at first nobody.
    """

    def __init__(
        self,
        link: Link,
        dev: Path,
        stick: Path | None = None,
        sys: Path = Path("/sys"),
        far: FarStick | None = None,
    ) -> None:
        self.progress: Progress = Silent()
        self._link = link
        self._far = far
        self._sys = sys
        self._stick = StickNode(link.serial, dev, sys, stick, link.access)
        self._position: Position | None = None
        self._turned_s = 0.0
        self._flashed: Flashed | None = None
        self._untouched: Source | None = None

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

    def host(self) -> None:
        """Give the stick to the host; `wait_for_node` tells when it can be used.

        Raises:
            BoardFaultError, BoardLostError: The board did not take the request.
            StorageError: Another process has been looking for its stick for too long.
            StickStayedError: The node is still there from the last time, so it does not follow the mux.
        """
        if self._is_away:
            self.wait_until_gone()
        self._stick.expect(self._take_away)
        self._untouched = None
        self._set(Position.HOST)

    def dut(self) -> None:
        """Give the stick to the DUT; `wait_until_gone` tells when the host has let go of it."""
        self._untouched = None
        self._set(Position.DUT)
        self._stick.end_turn()

    def off(self) -> None:
        """Give the stick to nobody, and cut its power."""
        self._set(Position.OFF)
        self._stick.end_turn()

    def wait_for_node(self, timeout_s: float = APPEARS_WITHIN_S) -> Path:
        """Wait until the stick's node is there and has a size, and return its path.

        Call it after `host()`. If nobody followed the stick when it came, it is taken away and given again.

        Raises:
            StickMissingError: It did not appear in time.
            BoardLostError, BoardTimeoutError: Nor does the board answer any more.
            StickAmbiguousError: Several disks appeared, so that none can be called the stick.
        """
        if self._stick.can_come_unseen:
            self.host()
        try:
            return self._await_node(timeout_s)
        finally:
            self._stick.end_turn()

    def claim(self, *, to_write: bool, usb_names: tuple[str, ...] = ()) -> Disk:
        """Take the stick from everybody, give it to the host, and open it when it is proven to be the stick.

        Args:
            to_write: Whether it is to be written.
            usb_names: What it was when it was claimed before; see `BlockDevice.usb_names`.

        Raises:
            WrongDiskError: One of the proofs fails; the error says which. Nothing was written.
            StickMissingError, StickAmbiguousError, StickLostError: It did not come, others came, it went.
            StorageError: It may not be opened; another process has been looking for its stick too long.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        self.off()
        try:
            self.wait_until_gone(GOES_WITHIN_S)
            self.host()
            node = self._await_node(APPEARS_WITHIN_S)
            expected = Expected(node, self._sys, self._stick.before, usb_names)
            return open_proven(expected, to_write=to_write, access=self._link.access)
        except StickStayedError as error:
            raise not_proven(error) from error
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
            claimed: The stick as `claim` gave it to be written, for who looked at it before; it is closed.

        Raises:
            ImageError: The image is damaged, or larger than the stick.
            WrongDiskError: A disk is not proven to be this board's stick; not a byte was written to it.
            FlashError: The stick does not hold what was written, or failed; it does not boot.
            StickMissingError, StickStayedError, StickAmbiguousError, StickLostError: It did not come, did
                not go, came together with others, or left in between.
            BoardFaultError, BoardLostError: The board did not take a request.
        """
        from hil.dutlink import flashing  # noqa: PLC0415 - decompressors are for who flashes

        source = flashing.source_of(image, bmap)
        is_same = source is not None and source == self._untouched and self._position is Position.OFF
        untouched = self._flashed if is_same else None
        self._flashed = None
        opened = flashing.opened_image(self, image, bmap, untouched=untouched)
        if self._far is not None:
            with self._left_off():
                flashed = self._far.flash(opened, progress or self.progress, force=force)
        else:
            progress = progress or self.progress
            stick = flashing.SameStick(self, claimed)
            flashed = flashing.flash(stick, opened, progress, force=force, untouched=untouched)
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
        from hil.dutlink import flashing  # noqa: PLC0415 - as above

        if self._far is not None:
            with self._left_off():
                return self._far.read(Path(path), size_bytes, progress or self.progress)
        return flashing.read(self, Path(path), size_bytes, progress or self.progress)

    @contextmanager
    def _left_off(self) -> Iterator[None]:
        """Take note that nobody has the stick after what was done on another machine, however it ended."""
        self._link.access.check()
        self._stick.end_turn()
        self._position = None
        try:
            yield
        finally:
            self._position = Position.OFF

    def forget(self) -> None:
        """Take note that somebody turns the storage by other means, as the board's shell can."""
        self._position = None
        self._untouched = None

    def check_board(self) -> None:
        """See whether the board still answers.

        Raises:
            BoardLostError, BoardTimeoutError: It does not.
        """
        self._link.answer()

    def close(self) -> None:
        """Stop looking for the stick; the position stays."""
        self._stick.end_turn()

    def _set(self, position: Position) -> None:
        self._position = None
        try:
            self._link.send(Request.STORAGE, StorageAction[position.name])
        except BaseException:
            self._stick.end_turn()
            raise
        self._position = position
        self._turned_s = time.monotonic()

    @property
    def _is_away(self) -> bool:
        """Whether the stick is not on the host for certain."""
        return self._position in (Position.OFF, Position.DUT)

    def _take_away(self) -> float:
        """Make sure that the stick is not on the host; return for how many seconds it has not been there."""
        if not self._is_away:
            self._set(Position.OFF)
        return time.monotonic() - self._turned_s

    def _await_node(self, timeout_s: float) -> Path:
        """Wait for the node; that a silent board is what is wrong comes first."""
        node = self._stick.wait(timeout_s)
        if node is None:
            self._link.answer()
            raise self._stick.missing(timeout_s)
        return node
