"""Permission to use an open board, which each transfer to it checks.

A board object can outlive its lease: a test may keep it in a global variable, or a thread may go on after the
test. Another process may hold the board by then, so each transfer checks its permission first.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Self

from hil.dutlink.timing import Deadline
from hil.errors import LeaseEndedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hil.dutlink.borrowed_lease import BorrowedLease

__all__ = ["Access"]

_DRAIN_LIMIT_S = 10.0
"""Seconds that `end` waits for transfers of other threads; a request to a silent board takes that long."""

_AGAIN = "ask for the fixture again (or open the board again): an object of an earlier lease drives nothing"


class Access:
    """Permission to use one open board; a `with` block for each transfer.

    Args:
        serial: The board's serial number, for errors.

    Attributes:
        serial: The argument.
        raise_if_blocked: Called by each check; raises an error if the board must not be used at present.
        raise_if_lost: Called by each check; raises an error if this process has lost its lease.
        lease: The lease of another process under which this process uses the board; None: it has its own.
        count_lent_turns: Returns how often programs under this process's own lease have turned the mux.
    """

    def __init__(self, serial: str) -> None:
        self.raise_if_blocked: Callable[[], None] | None = None
        self.raise_if_lost: Callable[[], None] | None = None
        self.lease: BorrowedLease | None = None
        self.count_lent_turns: Callable[[], int] = lambda: 0
        self.serial = serial
        self._shared: list[int] = []
        self._owner = os.getpid()
        self._changed = threading.Condition()
        self._transfers = 0
        self._ended: tuple[str, str] | None = None
        self._closer = 0

    @property
    def is_fork(self) -> bool:
        """Whether this process is a fork of the process that opened the board, and still uses it."""
        return os.getpid() != self._owner

    def check(self) -> None:
        """Check that the calling thread may use the board.

        Raises:
            LeaseEndedError: The board's lease has ended, or this process is a fork of the one that opened it.
        """
        self._check_own()
        if self.lease is not None:
            os.close(self.lease.share(self.serial))

    def _check_own(self) -> None:
        if self.is_fork:
            raise LeaseEndedError(
                f"board {self.serial} was opened by process {self._owner}, of which this one is a fork",
                why="a forked process inherits neither the lease of a board nor its console",
                remedy="use the board in the process that opened it",
                serial=self.serial,
            )
        if self.raise_if_lost is not None:
            self.raise_if_lost()
        if self._ended is not None and threading.get_ident() != self._closer:
            what, why = self._ended
            raise LeaseEndedError(what, why=why, remedy=_AGAIN, serial=self.serial)
        if self.raise_if_blocked is not None:
            self.raise_if_blocked()

    def lent_turns(self) -> int:
        """Return how often programs under the lease of another program have turned the mux of the board."""
        return self.lease.turns() if self.lease is not None else self.count_lent_turns()

    def end(self, how: str = "was closed", *, after: str = "", why: str = "") -> None:
        """End the permission of all threads except the calling one, which makes the board safe and closes it.

        Return when no other thread is in a transfer. Harmless when repeated.

        Args:
            how: What happened to the board: `was given back`.
            after: The test after which that happened.
            why: The cause.
        """
        if self._ended is not None:
            return  # errors name the first end
        after = f", after {after}" if after else ""
        self._closer = threading.get_ident()
        self._ended = (f"board {self.serial} {how} at {time.strftime('%H:%M:%S')}{after}", why)
        if self.is_fork:
            return  # one of the parent's threads may have held the lock, and a fork does not have that thread
        deadline = Deadline(_DRAIN_LIMIT_S)
        with self._changed:
            while self._transfers and not deadline.passed:
                self._changed.wait(deadline.left_s)

    def finish(self) -> None:
        """End the permission of the thread that called `end`, too."""
        self._closer = 0

    def __enter__(self) -> Self:
        self._check_own()  # before the lock, which a fork may have inherited locked
        with self._changed:
            self._check_own()  # `end` may have been called while this thread waited for the lock
            if self.lease is not None:
                self._shared.append(self.lease.share(self.serial))
            self._transfers += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._transfers -= 1
            if self._shared:
                os.close(self._shared.pop())
            if not self._transfers:
                self._changed.notify_all()
