"""Acquire the first usable board for a test; remember which boards stayed in use, and which do not work."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from hil.boards.acquire import Terms, lease_board, lease_boards, open_leased, reopen
from hil.boards.passed_token import pass_token
from hil.boards.requirements import ANY_BOARD
from hil.boards.run_peers import OwnRun
from hil.errors import (
    BoardAbsentError,
    BoardBusyError,
    BoardFaultError,
    BoardUnsafeError,
    StickInUseError,
    UnavailableError,
)
from hil.flash.progress import ProgressLines
from hil.lab.locks.choice import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.board_source import BoardSource
    from hil.boards.own_boards import OwnBoards
    from hil.boards.requirements import BoardRequirement
    from hil.boards.search import BoardSearch
    from hil.dutlink.host import Host
    from hil.errors import HilError
    from hil.lab.guard.guarded_lease import GuardedLease

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
            undone.callback(self._source.return_to_lab)
            host = self._source.host(serial, requirement)
            serials = [serial] if serial else self._search.find(host, requirement)
            faulty = [one for one in serials if one in self._search.faults]
            for those in ([one for one in serials if one not in faulty], faulty):
                while those:
                    acquired = self._acquire_first(host, those, test, errors)
                    if acquired is not None:
                        undone.pop_all()
                        return acquired
            raise _gravest(errors)

    def acquire_several(
        self, test: str, needs: Sequence[BoardRequirement], given: Sequence[str], own: OwnBoards
    ) -> list[AcquiredBoard]:
        """Acquire a board for each requirement, all at once; while this process waits, it holds none.

        Args:
            test: The test that the boards are for; other processes can read it.
            needs: Which boards will do.
            given: The boards that the controller gave to this worker; empty if it gave none.
            own: The boards that this process holds; those that will do are kept if the others are free.

        Raises:
            UnavailableError: There are too few boards that can be used.
            BoardFaultError: A board answers, and cannot be used.
            StickInUseError: A program of this host uses the stick of a board.
        """
        host = self._source.host()
        choices = [[serial] for serial in given] or [self._search.find(host, need) for need in needs]
        errors: list[HilError] = [too_few_error(needs, choices)]
        while choose(choices, {serial for serials in choices for serial in serials}) is not None:
            kept = own.keep(choices)
            missing = [
                [serial for serial in serials if serial not in own]
                for serials, one in zip(choices, kept, strict=True)
                if one is None
            ]
            try:
                new = self._acquire_missing(missing, test, wait=not own) if missing else []
            except BoardBusyError as error:
                if not own:
                    raise self._note_in_use(missing, error) from None
                own.release()
            except (UnavailableError, BoardFaultError, StickInUseError) as error:
                serial = error.serial
                if serial is None or not any(serial in serials for serials in choices):
                    raise  # no board is known to be at fault
                errors.append(self._note_unusable(host, serial, error))
                choices = [[one for one in serials if one != serial] for serials in choices]
            else:
                acquired = iter(new)
                return [one or next(acquired) for one in kept]
        raise _gravest(errors)

    def _acquire_missing(
        self, choices: Sequence[Sequence[str]], test: str, *, wait: bool
    ) -> list[AcquiredBoard]:
        """Lease and open a board for each choice; on an error, release all of them.

        Args:
            choices: For each board, the boards that would do.
            test: The test that the boards are for.
            wait: Wait for boards that other processes hold; this process must not hold any then.
        """
        terms = self._terms([serial for serials in choices for serial in serials], test)
        if not wait:
            terms = replace(terms, wait_s=0.0, waits_on=lambda: False)
        leases = lease_boards(self._source, choices, terms)
        acquired: list[AcquiredBoard] = []
        with ExitStack() as undone:
            for lease in leases:
                undone.callback(lease.release_unused)
            for lease in leases:
                limit_s = self._search.patience_s(lease.serial)
                acquired.append(_open_named(self._source, lease, terms, limit_s))
                undone.callback(acquired[-1].release, safe=True)  # it was made safe, and not used since
            undone.pop_all()
        return acquired

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
                errors.append(self._note_in_use([serials], error))
                serials.clear()
            else:
                unusable = serial or error.serial
                if unusable not in serials:
                    raise  # no board is known to be at fault
                errors.append(self._note_unusable(host, unusable, error))
                serials.remove(unusable)
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
            on_open=lambda acquired: _pass_to_tests(acquired, self._source.address()),
        )

    def _note_in_use(self, choices: Sequence[Sequence[str]], error: BoardBusyError) -> HilError:
        """Note that these boards stayed in use; return the error for the test.

        A guard may hold a faulty board, still trying to make it safe: then the fault is the error.
        """
        serials = [serial for some in choices for serial in some]
        if self.may_wait:
            self._in_use.update(serials)
        faults = self._search.faults
        faulty = next((serial for serial in serials if serial in faults), None)
        if faulty is None:
            return error
        return BoardUnsafeError(
            f"board {faulty} is faulty",
            why=faults[faulty].what,
            remedy="the run's summary says what to do, once for all tests",
            serial=faulty,
        )

    def _note_unusable(
        self, host: Host, serial: str, error: UnavailableError | BoardFaultError | StickInUseError
    ) -> HilError:
        """Note that a board cannot be used; return the error for the test."""
        if isinstance(error, StickInUseError):
            self._search.faults.setdefault(serial, error)
            return error
        return self._search.diagnose(host, serial, error)


def _gravest(errors: Sequence[HilError]) -> HilError:
    """Return the first error that is a fault of a board; the last one if all boards are only unavailable."""
    return next((error for error in errors if not isinstance(error, UnavailableError)), errors[-1])


def too_few_error(needs: Sequence[BoardRequirement], choices: Sequence[Sequence[str]]) -> BoardAbsentError:
    """Return the error for a test that needs more boards than there are."""
    there = sorted({serial for serials in choices for serial in serials})
    return BoardAbsentError(
        f"this test uses {len(needs)} boards at once, and there are too few that will do",
        why=f"its boards: {'; '.join(f'one {need}' for need in needs)}; found: {', '.join(there)}",
        remedy="plug in another board, or give the boards the tags that the test asks for",
    )


def _open_named(source: BoardSource, lease: GuardedLease, terms: Terms, limit_s: float) -> AcquiredBoard:
    """Open a leased board; an error names the board, so that the others can be told from it."""
    try:
        return open_leased(source, lease, terms, limit_s)
    except (UnavailableError, BoardFaultError, StickInUseError) as error:
        error.serial = lease.serial
        raise


def _pass_to_tests(acquired: AcquiredBoard, boards: str) -> None:
    """Show the progress of flashes in the test's output; let programs that tests start use the board."""
    acquired.board.storage.progress = ProgressLines(_into_captured_output)
    if acquired.lease is not None:
        pass_token(acquired.lease.lend(ends_borrowers=False), boards)


def _into_captured_output(line: str) -> None:
    """Write a line to pytest's captured output, which it shows if the test fails, and with -rP."""
    sys.stdout.write(f"hil: {line}\n")
