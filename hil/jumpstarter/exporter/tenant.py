"""The board that an exporter offers, and the Jumpstarter lease that may use it at present.

Jumpstarter makes a new tree of drivers for each of its leases, and the tree of the last lease may still be
closing when the next is made. So the board belongs to the process: it is leased from the host and opened
once, and each tree is a tenant of it. A tree that is no longer the tenant can do nothing, not even make the
board safe.
"""

from __future__ import annotations

import atexit
import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.boards.requirements import BoardInfo
from hil.dutlink.board import Board, open_driver
from hil.dutlink.held_boards import held_boards
from hil.errors import BoardFaultError, BoardLostError, HilError, UnavailableError
from hil.jumpstarter.exporter.usb_service import UsbService
from hil.lab.safe_state.action import apply_policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from hil.boards.board_source import BoardSource
    from hil.lab.config.lab import Lab
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["ExportedBoard", "Tenant"]

logger = logging.getLogger(__name__)


class ExportedBoard:
    """One board that this process has acquired for its whole life.

    Args:
        source: Where the board is.
        lease: The board's lease on this host, with a guard.
        lab: The lab file of this host.

    Attributes:
        host: The board's host.
        serial: The board's serial number.
        wiring: Wiring of the board's place, from the lab file.
        place: What else the lab file says of the place.
        usb: The board's USB device, for remote control transfers.
    """

    def __init__(self, source: BoardSource, lease: GuardedLease, lab: Lab) -> None:
        self.host = source.host()
        self.serial = lease.serial
        self.wiring = source.wiring_of(lease.serial)
        self._lease = lease
        self._lab = lab
        self.place = source.place_of(lease.serial)
        self._board: Board | None = None
        self._lock = threading.RLock()
        self._tenant: Tenant | None = None
        self.usb = UsbService(self.host, self.serial)
        self._changes = threading.Condition()
        self._unsafe = 0  # changes of the tenant after which the board is not safe yet
        atexit.register(self.close)

    def set_tenant(self, leaving: Tenant | None, coming: Tenant | None) -> None:
        """Replace the tenant and make the board safe in the background.

        A tenant that another one has replaced already changes nothing.

        Args:
            leaving: The tenant that makes the change; None: a new one.
            coming: The next tenant; None: there is none.
        """
        with self._changes:
            if leaving is not None and leaving is not self._tenant:
                return
            self._tenant = coming
            self._unsafe += 1
        threading.Thread(target=self._make_safe_for, args=(coming,), name=f"hil-safe-{self.serial}").start()

    def _make_safe_for(self, coming: Tenant | None) -> None:
        try:
            self.make_safe()
            self._lease.set_test("a Jumpstarter lease" if coming else "Jumpstarter exporter, not leased")
        finally:
            with self._changes:
                self._unsafe -= 1
                self._changes.notify_all()

    def make_safe(self) -> HilError | None:
        """Make the board safe; return the error if it cannot be made safe, or None."""
        with self._lock:
            try:
                apply_policy(self._opened(), self.place.policy)
            except HilError as error:
                self._release_if_lost(error)
                logger.warning("board %s could not be made safe: %s", self.serial, error)
                return error
        return None

    @contextmanager
    def open_for(self, tenant: Tenant) -> Iterator[Board]:
        """Open the board for one call of its tenant, once it is safe and no other call uses it.

        Raises:
            BoardLostError: The caller is no longer the tenant.
            HilError: The board cannot be opened.
        """
        self.ensure_attached(tenant)
        with self._lock:
            board = self._opened()
            try:
                yield board
            except HilError as error:
                self._release_if_lost(error)
                raise

    @contextmanager
    def try_open_for(self, tenant: Tenant) -> Iterator[Board | None]:
        """Like `open_for`, but yield None where that would wait or raise."""
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            yield self._board if tenant is self._tenant and not self._unsafe else None
        finally:
            self._lock.release()

    def info_of(self, board: Board) -> BoardInfo:
        """Return name and tags of the board for tests that choose by them: its own and those of its place."""
        settings = board.settings.read()
        tags = self._lab.tags_of(self.serial).union(settings.tag_list)
        return BoardInfo(self.serial, self._lab.name_of(self.serial) or settings.name, tags)

    def note_use(self, use: str) -> None:
        """Record in the host's lease what the board is used for."""
        self._lease.set_test(use)

    def ensure_attached(self, tenant: Tenant) -> None:
        """Wait until the board is safe for its tenant.

        Raises:
            BoardLostError: The caller is not the tenant.
        """
        with self._changes:
            self._changes.wait_for(lambda: not self._unsafe or tenant is not self._tenant)
            if tenant is self._tenant:
                return
        raise BoardLostError(
            f"board {self.serial} no longer belongs to this lease",
            why="the lease has ended",
            remedy="lease it again",
            serial=self.serial,
        )

    def close(self) -> None:
        """Make the board safe and release its lease on this host; harmless when repeated."""
        atexit.unregister(self.close)
        with self._lock:
            error = self.make_safe()
            if self._board is not None:
                self._board.close()
                self._board = None
            if error is None:
                self._lease.release()
            else:
                self._lease.abandon()

    def _opened(self) -> Board:
        if self._board is None:
            self._lease.follow_board()
            with held_boards.any_board():
                self._board = open_driver(self.host, self.serial, self.wiring, console=False)
        return self._board

    def _release_if_lost(self, error: HilError) -> None:
        """Close the board after an error that a replug may have caused; the next call opens it again."""
        if isinstance(error, UnavailableError | BoardFaultError) and self._board is not None:
            self._board.close()
            self._board = None


class Tenant:
    """A Jumpstarter lease's right to a board.

    Args:
        exported: The board.
    """

    def __init__(self, exported: ExportedBoard) -> None:
        self.exported = exported

    @property
    def serial(self) -> str:
        """The board's serial number."""
        return self.exported.serial

    def attach(self) -> None:
        """Begin the lease: become the tenant, and have the board made safe."""
        self.exported.set_tenant(None, self)

    def reset(self) -> None:
        """Have the board made safe during the lease, unless another lease has it already."""
        self.exported.set_tenant(self, self)

    def detach(self) -> None:
        """End the lease: have the board made safe, unless another lease has it already."""
        self.exported.set_tenant(self, None)

    def board(self) -> AbstractContextManager[Board]:
        """Open the board for one call; see `ExportedBoard.open_for`."""
        return self.exported.open_for(self)

    def try_board(self) -> AbstractContextManager[Board | None]:
        """Open the board without waiting; see `ExportedBoard.try_open_for`."""
        return self.exported.try_open_for(self)

    def note_use(self, use: str) -> None:
        """Show users of this host what the board is used for now.

        Raises:
            BoardLostError: The lease has ended.
        """
        self.ensure_attached()
        self.exported.note_use(use)

    def ensure_attached(self) -> None:
        """Wait until the board is safe for this lease; see `ExportedBoard.ensure_attached`.

        Raises:
            BoardLostError: The lease has ended.
        """
        self.exported.ensure_attached(self)
