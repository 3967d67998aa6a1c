"""Acquire the first usable board for a test; remember which boards stayed in use, and which do not work."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hil.boards.acquire import Terms, lease_board, open_leased, reopen
from hil.boards.passed_token import pass_token
from hil.boards.requirements import ANY_BOARD
from hil.boards.run_peers import OwnRun
from hil.errors import (
    BoardBusyError,
    BoardFaultError,
    BoardUnsafeError,
    StickInUseError,
    UnavailableError,
)
from hil.flash.progress import ProgressLines

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.requirements import BoardRequirement
    from hil.boards.search import BoardSearch
    from hil.boards.sources import BoardSource
    from hil.dutlink.host import Host
    from hil.errors import HilError

__all__ = ["BoardAcquirer"]


class BoardAcquirer:
    """Acquires boards of a source for tests; `acquire` is the way, `reopen` is for a board that came back.

    Args:
        source: Where the boards are.
        search: Finds those that can be used; keeps what is wrong with the others.
        wait_s: How long to wait for boards that other processes hold, in seconds.
        silence_s: How long a board may be silent before it counts as lost, in seconds.
        controller: Pid of the xdist controller that this process works for; 0 if there is none.
        tell: Shows the user a line: which holder is waited for, and what a guard did.

    Attributes:
        may_wait: Whether to wait for boards that other processes hold.
        is_shared: Whether a controller gives boards to the workers of this run.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        source: BoardSource,
        search: BoardSearch,
        *,
        wait_s: float,
        silence_s: float,
        controller: int,
        tell: Callable[[str], None],
    ) -> None:
        self.is_shared = False
        self.may_wait = True
        self._source = source
        self._search = search
        self._wait_s = wait_s
        self._silence_s = silence_s
        self._controller = controller
        self._tell = tell
        self._in_use: set[str] = set()

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
            undone.callback(self._source.give_back)
            host = self._source.host(serial, requirement)
            serials = [serial] if serial else self._search.find(host, requirement)
            faulty = [one for one in serials if one in self._search.faults]
            for those in ([one for one in serials if one not in faulty], faulty):
                while those:
                    acquired = self._acquire_first(host, those, test, errors)
                    if acquired is not None:
                        undone.pop_all()
                        return acquired
            raise next((error for error in errors if not isinstance(error, UnavailableError)), errors[-1])

    def reopen(self, acquired: AcquiredBoard) -> None:
        """Open a board that came back, under the same lease, and make it safe; see `acquire.reopen`."""
        reopen(acquired, self._search.patience_s(acquired.board.serial))

    def _acquire_first(
        self, host: Host, serials: list[str], test: str, errors: list[HilError]
    ) -> AcquiredBoard | None:
        """Acquire the first of these boards that is free, or return None if it cannot be used.

        Args:
            host: The host of the boards.
            serials: The boards; those that cannot be used are removed.
            test: The test that the board is for.
            errors: The error of each board that cannot be used is added.
        """
        terms = self._terms(serials, test)
        serial = None
        try:
            lease = lease_board(self._source, serials, terms)
            serial = lease.serial
            return open_leased(self._source, lease, terms, self._search.patience_s(serial))
        except (UnavailableError, BoardFaultError, StickInUseError) as error:
            if serial is None and isinstance(error, BoardBusyError):
                errors.append(self._note_in_use(serials, error))
            else:
                errors.append(self._note_unusable(host, serials, serial or error.serial or "", error))
            return None

    def _terms(self, serials: list[str], test: str) -> Terms:
        """Return how to acquire one of the boards; boards that stayed in use are not waited for twice."""
        faults = self._search.faults
        vain = self._in_use.issuperset(serials) or faults.keys() >= set(serials)
        return Terms(
            use=test,
            tell=lambda line: self._tell(f"hil: {line}"),
            wait_s=0.0 if vain or not self.may_wait else self._wait_s,
            waits_on=OwnRun(serials, self._source.lock_folder(), self._controller if self.is_shared else 0),
            silence_s=self._silence_s,
            controller=self._controller,
            faulty=faults,
            measures=not self._source.is_remote,  # the exporter reads the meter of a remote board
            on_open=_pass_to_tests,
        )

    def _note_in_use(self, serials: list[str], error: BoardBusyError) -> HilError:
        """Note that all these boards stayed in use; return the error for the test.

        A guard may hold a faulty board, still trying to make it safe: then the fault is the error.
        """
        if self.may_wait:
            self._in_use.update(serials)
        faults = self._search.faults
        faulty = next((serial for serial in serials if serial in faults), None)
        serials.clear()
        if faulty is None:
            return error
        return BoardUnsafeError(
            f"board {faulty} is faulty",
            why=faults[faulty].what,
            remedy="the run's summary says what to do, once for all tests",
            serial=faulty,
        )

    def _note_unusable(
        self,
        host: Host,
        serials: list[str],
        serial: str,
        error: UnavailableError | BoardFaultError | StickInUseError,
    ) -> HilError:
        """Note that a board cannot be used; return the error for the test."""
        serials.remove(serial)
        if isinstance(error, StickInUseError):
            self._search.faults.setdefault(serial, error)
            return error
        return self._search.diagnose(host, serial, error)


def _pass_to_tests(acquired: AcquiredBoard) -> None:
    """Show the progress of flashes in the test's output; let programs that tests start use the board."""
    acquired.board.storage.progress = ProgressLines(_into_captured_output)
    if acquired.lease is not None:
        pass_token(acquired.lease.lend(ends_borrowers=False))


def _into_captured_output(line: str) -> None:
    """Write a line to pytest's captured output, which it shows if the test fails, and with -rP."""
    sys.stdout.write(f"hil: {line}\n")
