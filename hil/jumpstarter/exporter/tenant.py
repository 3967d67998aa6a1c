"""A board that an exporter offers: exported under this host's lease, and safe whenever it changes hands.

Jumpstarter makes a new tree of drivers for every lease, and the last lease's tree may still be closing when
the next one's is made. So the board belongs to the process: it is leased from the host and opened once, and
each tree is only a tenant of it. Whoever is no longer the tenant can do nothing, not even make it safe.
"""

from __future__ import annotations

import atexit
import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.boards.place_info import PlaceInfo
from hil.boards.requirements import BoardInfo
from hil.dutlink.board import Board, open_board
from hil.errors import BoardFaultError, BoardLostError, HilError, UnavailableError
from hil.jumpstarter.exporter.usb_service import UsbService
from hil.lab.safe_state.action import apply_policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from hil.dutlink.host import Host
    from hil.lab.config.lab import Lab
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["ExportedBoard", "Tenant"]

logger = logging.getLogger(__name__)


class ExportedBoard:
    """One board, for the life of this process.

    Args:
        host: Where it is plugged in.
        lease: The right to it on this host, with a guard.
        lab: What the lab file of this host says of its place.
        simulated: Whether it is a simulated one.

    Attributes:
        usb: The bus that it is on.
        place: What the lab file says of its place beside its wiring.
    """

    def __init__(self, host: Host, lease: GuardedLease, lab: Lab, *, simulated: bool = False) -> None:
        self.host = host
        self.serial = lease.serial
        self.wiring = lab.wiring_of(lease.serial)
        self._lease = lease
        self._lab = lab
        self.place = PlaceInfo.of(lab, lease.serial, simulated=simulated)
        self._board: Board | None = None
        self._lock = threading.RLock()
        self._tenant: Tenant | None = None
        self.usb = UsbService(host, self.serial)
        self._changes = threading.Condition()
        self._unsafe = 0  # changes of tenants behind which the board is not safe yet
        atexit.register(self.close)

    def set_tenant(self, leaving: Tenant | None, coming: Tenant | None) -> None:
        """Let another tenant in, or none; returns at once, and makes the board safe in the background.

        A tenant that has left already, because another came, changes nothing any more.
        """
        with self._changes:
            if leaving is not None and leaving is not self._tenant:
                return
            self._tenant = coming
            self._unsafe += 1
        threading.Thread(target=self._change, args=(coming,), name=f"hil-safe-{self.serial}").start()

    def _change(self, coming: Tenant | None) -> None:
        try:
            self.make_safe()
            self._lease.set_test("a Jumpstarter lease" if coming else "Jumpstarter exporter, not leased")
        finally:
            with self._changes:
                self._unsafe -= 1
                self._changes.notify_all()

    def make_safe(self) -> HilError | None:
        """Make the board safe; returns what stood in the way."""
        with self._lock:
            try:
                apply_policy(self._opened(), self.place.safe)
            except HilError as error:
                self._release_if_lost(error)
                logger.warning("board %s could not be made safe: %s", self.serial, error)
                return error
        return None

    @contextmanager
    def open_for(self, tenant: Tenant) -> Iterator[Board]:
        """The open board, for one call of its tenant; calls wait for each other, and for a safe board.

        Raises:
            BoardLostError: The caller is not its tenant any more.
            HilError: As opening and using it can fail.
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
        """The same without any wait; None where there would be one, or an error."""
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            yield self._board if tenant is self._tenant and not self._unsafe else None
        finally:
            self._lock.release()

    def info_of(self, board: Board) -> BoardInfo:
        """Return the name and tags that tests may choose it by: its own, and those of its place."""
        settings = board.settings.read()
        tags = self._lab.tags_of(self.serial).union(settings.tag_list)
        return BoardInfo(self.serial, self._lab.name_of(self.serial) or settings.name, tags)

    def note_use(self, use: str) -> None:
        """Say in the host's lease what the board is used for."""
        self._lease.set_test(use)

    def ensure_attached(self, tenant: Tenant) -> None:
        """See to it that the caller is the board's tenant, and the board safe since it came.

        Raises:
            BoardLostError: It is not, or not any more.
        """
        with self._changes:
            self._changes.wait_for(lambda: not self._unsafe or tenant is not self._tenant)
            if tenant is self._tenant:
                return
        raise BoardLostError(
            f"board {self.serial} is not this lease's any more",
            why="the lease has ended",
            remedy="lease it again",
            serial=self.serial,
        )

    def close(self) -> None:
        """Make the board safe and give it back to this host; harmless when repeated."""
        atexit.unregister(self.close)
        with self._lock:
            unsafe = self.make_safe()
            if self._board is not None:
                self._board.close()
                self._board = None
            if unsafe is None:
                self._lease.release()
            else:
                self._lease.abandon()

    def _opened(self) -> Board:
        if self._board is None:
            self._board = open_board(self.host, self.serial, self.wiring, console=False)
        return self._board

    def _release_if_lost(self, error: HilError) -> None:
        """Forget a handle that may be of a board that was replugged; the next call opens it anew."""
        if isinstance(error, UnavailableError | BoardFaultError) and self._board is not None:
            self._board.close()
            self._board = None


class Tenant:
    """One lease's right to a board.

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
        """The lease begins."""
        self.exported.set_tenant(None, self)

    def reset(self) -> None:
        """Make the board safe within the lease, unless another lease has it by now."""
        self.exported.set_tenant(self, self)

    def detach(self) -> None:
        """The lease ends."""
        self.exported.set_tenant(self, None)

    def board(self) -> AbstractContextManager[Board]:
        """The open board, for one call; see `ExportedBoard.open_for`."""
        return self.exported.open_for(self)

    def try_board(self) -> AbstractContextManager[Board | None]:
        """The open board without any wait; see `ExportedBoard.try_open_for`."""
        return self.exported.try_open_for(self)

    def note_use(self, use: str) -> None:
        """Say on this host what the board is used for now; raises what `check` raises."""
        self.ensure_attached()
        self.exported.note_use(use)

    def ensure_attached(self) -> None:
        """See to it that the lease lasts and the board is safe since it began; see `ExportedBoard.check`."""
        self.exported.ensure_attached(self)
