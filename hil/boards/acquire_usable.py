"""Acquire the first usable board for a test; remember which boards stayed in use, and which do not work."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from hil.boards.lease_and_open import Terms, lease_boards, open_leased, reopen
from hil.boards.lent_token import lend_token
from hil.boards.requirements import ANY_BOARD
from hil.dutlink.timing import Deadline
from hil.errors import (
    BoardBusyError,
    BoardFaultError,
    BoardLostError,
    BoardUnsafeError,
    HilError,
    StickInUseError,
    UnavailableError,
)
from hil.flash.progress import ProgressLines
from hil.lab.locks.lease import holder_of
from hil.lab.locks.lock_dir import lock_folder
from hil.process_stat import process_stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.board_source import BoardSource
    from hil.boards.requirements import BoardRequirement
    from hil.boards.search import BoardSearch
    from hil.dutlink.host import Host
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["UNUSABLE", "BoardAcquirer", "gravest"]

UNUSABLE: Final = (UnavailableError, BoardFaultError, StickInUseError)
"""The errors of a board that cannot be used: another board is tried."""

OWN_RUN_S = 600.0
"""How long to wait for a board that another worker of this run holds, in seconds."""


@dataclass(slots=True, kw_only=True)
class BoardAcquirer:
    """Acquires boards of a source for tests; `reopen` is for a board that came back.

    Attributes:
        source: Where the boards are.
        search: Finds those that can be used; keeps what is wrong with the others.
        wait_s: How long to wait for boards that other processes hold, in seconds.
        silence_s: How long a board may be silent before it counts as lost, in seconds.
        controller: Pid of the xdist controller that this process works for; 0 if there is none.
        tell: Shows the user a line: which holder is waited for, and what a guard did.
        may_wait: Whether to wait for boards that other processes hold.
        is_shared: Whether a controller gives boards to the workers of this run.
    """

    source: BoardSource
    search: BoardSearch
    wait_s: float
    silence_s: float
    controller: int
    tell: Callable[[str], None]
    may_wait: bool = True
    is_shared: bool = False
    _in_use: set[str] = field(init=False, default_factory=set)

    def of_source(self, source: BoardSource) -> BoardAcquirer:
        """Return an acquirer for another source, of which nothing is known yet."""
        search = self.search.of_source(source)
        return replace(self, source=source, search=search, is_shared=False)

    def acquire(
        self, test: str, requirement: BoardRequirement = ANY_BOARD, serial: str | None = None
    ) -> AcquiredBoard:
        """Acquire the first free board that works.

        Args:
            test: The test that the board is for; other processes can read it.
            requirement: Which boards will do.
            serial: The board that the controller gave to this worker, or None.

        Raises:
            UnavailableError: No board can be used.
            BoardFaultError: A board answers, and cannot be used.
            StickInUseError: A program of this host uses the stick of the board.
        """
        errors: list[HilError] = []
        with ExitStack() as undone:
            undone.callback(self.source.return_to_lab)
            host = self.source.host(serial, requirement)
            serials = [serial] if serial else self.search.find(host, requirement)
            for group in self._faulty_last(serials):
                left = group
                while left:
                    lease: GuardedLease | None = None
                    terms = self.terms(left, test)
                    try:
                        (lease,) = lease_boards(self.source, [left], terms)
                        patience_s = self.search.patience_s(lease.serial)
                        acquired = open_leased(self.source, lease, terms, patience_s)
                    except UNUSABLE as error:
                        leased = lease.serial if lease is not None else None
                        found, left = self._leave_out(host, left, leased, error)
                        errors.append(found)
                    else:
                        undone.pop_all()
                        return acquired
            raise gravest(errors)

    def reopen(self, acquired: AcquiredBoard) -> None:
        """Open a board that came back, under the same lease, and make it safe; see `lease_and_open.reopen`.

        Raises:
            BoardLostError: The board cannot be opened, or no longer answers.
            BoardFaultError: It answers, and cannot be opened or made safe: its DUT may have power.
            BoardBusyError: Another process, with another lock folder, took it when it came back.
            HilError: This process cannot use it, such as for want of a guard.
        """
        serial = acquired.board.serial
        try:
            reopen(acquired, self.search.patience_s(serial))
        except BoardBusyError:
            raise
        except (UnavailableError, BoardFaultError) as error:
            found = self.search.diagnose(acquired.host, serial, error)
            if isinstance(found, BoardFaultError):
                raise
            acquired.lost = BoardLostError(
                f"board {serial} was lost earlier in this run",
                why=f"it is back, but cannot be used ({found.what})",
                remedy="run again",
                serial=serial,
            )
            raise acquired.lost from error

    def terms(self, serials: list[str], test: str) -> Terms:
        """Return how to acquire one of the boards; boards that stayed in use are not waited for twice."""
        faults = self.search.faults
        vain = self._in_use.issuperset(serials) or faults.keys() >= set(serials)
        return Terms(
            use=test,
            tell=lambda line: self.tell(f"hil: {line}"),
            wait_s=0.0 if vain or not self.may_wait else self.wait_s,
            waits_on=OwnRun(serials, self.source.lock_folder(), self.controller if self.is_shared else 0),
            silence_s=self.silence_s,
            controller=self.controller,
            faulty=faults,
            measures=not self.source.is_remote,  # the exporter reads the meter of a remote board
            on_open=lambda acquired: _lend_to_tests(acquired, self.source.address()),
        )

    def note_in_use(self, serials: Sequence[str], error: BoardBusyError) -> HilError:
        """Note that these boards stayed in use; return the error for the test.

        A guard may hold a faulty board, still trying to make it safe: then the fault is the error.
        """
        if self.may_wait:
            self._in_use.update(serials)
        faults = self.search.faults
        faulty = next((serial for serial in serials if serial in faults), None)
        if faulty is None:
            return error
        return BoardUnsafeError(
            f"board {faulty} is faulty",
            why=faults[faulty].what,
            remedy="the run's summary says what to do, once for all tests",
            serial=faulty,
        )

    def note_unusable(
        self, host: Host, serial: str, error: UnavailableError | BoardFaultError | StickInUseError
    ) -> HilError:
        """Note that a board cannot be used; return the error for the test."""
        if isinstance(error, StickInUseError):
            self.search.faults.setdefault(serial, error)
            return error
        return self.search.diagnose(host, serial, error)

    def _faulty_last(self, serials: Sequence[str]) -> Iterator[list[str]]:
        """Yield the boards that may work, then those that were faulty before."""
        faulty = [serial for serial in serials if serial in self.search.faults]
        yield [serial for serial in serials if serial not in faulty]
        yield faulty

    def _leave_out(
        self,
        host: Host,
        serials: list[str],
        leased: str | None,
        error: UnavailableError | BoardFaultError | StickInUseError,
    ) -> tuple[HilError, list[str]]:
        """Return the error for the test, and the boards without those that the error is about.

        Args:
            host: The host of the boards.
            serials: The boards of which one was to be acquired.
            leased: The board that was leased before the error; None: none was.
            error: Why no board was acquired.

        Raises:
            HilError: The error names none of these boards.
        """
        if leased is None and isinstance(error, BoardBusyError):
            return self.note_in_use(serials, error), []
        unusable = leased or error.serial
        if unusable not in serials:
            raise error
        rest = [serial for serial in serials if serial != unusable]
        return self.note_unusable(host, unusable, error), rest


def gravest(errors: Sequence[HilError]) -> HilError:
    """Return the first error that is a fault of a board; the last one if all boards are only unavailable."""
    faults = [error for error in errors if not isinstance(error, UnavailableError)]
    return faults[0] if faults else errors[-1]


def _lend_to_tests(acquired: AcquiredBoard, boards: str) -> None:
    """Show the progress of flashes in the test's output; let programs that tests start use the board."""
    acquired.board.storage.progress = ProgressLines(_into_captured_output)
    if acquired.lease is not None:
        lend_token(acquired.lease.lend(ends_borrowers=False), boards)


def _into_captured_output(line: str) -> None:
    """Write a line to pytest's captured output, which it shows if the test fails, and with -rP."""
    sys.stdout.write(f"hil: {line}\n")


class OwnRun:
    """The other workers of a run; call the object to learn whether to wait for the boards that they hold.

    Args:
        serials: The boards that are waited for.
        folder: The folder of their locks; None: the machine's own folder.
        controller: Pid of the xdist controller; 0: no other worker is waited for.
    """

    def __init__(self, serials: Sequence[str], folder: Path | None, controller: int) -> None:
        self._serials = tuple(serials)
        self._folder = folder
        self._controller = controller
        self._patience = Deadline(OWN_RUN_S)
        self._held = self._holds_one()

    def __call__(self) -> bool:
        """Return True if another worker holds one of the boards, or has released it just now."""
        before, self._held = self._held, self._holds_one()
        return not self._patience.passed and (before or self._held)

    def _holds_one(self) -> bool:
        if not self._controller:
            return False
        folder = self._folder or lock_folder()
        holders = (holder_of(folder, serial) for serial in self._serials)
        return any(holder is not None and _is_worker_of(self._controller, holder.pid) for holder in holders)


def _is_worker_of(controller: int, pid: int) -> bool:
    """Return True if a process is another child of the controller; its command may have any name."""
    stat = process_stat(pid) if pid != os.getpid() else None
    return stat is not None and stat.parent == controller
