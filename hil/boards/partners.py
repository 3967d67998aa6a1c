"""Acquire the boards of a test with partners, all at once or none: while the process waits, it holds none."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import zip_longest
from random import random
from typing import TYPE_CHECKING

from hil.boards.acquire_usable import UNUSABLE, gravest
from hil.boards.lease_and_open import lease_boards, open_leased
from hil.dutlink.timing import Deadline, sleep
from hil.errors import BoardAbsentError, BoardBusyError, with_names
from hil.lab.locks.choice import choose, is_possible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hil.boards.acquire_usable import BoardAcquirer
    from hil.boards.acquired import AcquiredBoard
    from hil.boards.board_source import BoardSource
    from hil.boards.lease_and_open import Terms
    from hil.boards.requirements import BoardRequirement
    from hil.dutlink.host import Host
    from hil.errors import HilError
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["acquire_partners"]

FIRST_LAB_PAUSE_S = 2.0
"""Seconds after a failed attempt to lease several boards of a lab; twice as long after each further one."""

LONGEST_LAB_PAUSE_S = 30.0


def acquire_partners(  # noqa: PLR0913 - by keyword
    acquirer: BoardAcquirer,
    test: str,
    needs: Sequence[BoardRequirement],
    given: Sequence[str],
    *,
    held: Sequence[AcquiredBoard],
    release: Callable[[AcquiredBoard], None],
) -> list[AcquiredBoard]:
    """Acquire a board for each requirement of a test; of those that the process holds, keep what will do.

    Of a Jumpstarter lab no board is kept.

    Args:
        acquirer: Knows where the boards are, and how long to wait for them.
        test: The test that the boards are for; other processes can read it.
        needs: Which boards will do.
        given: The boards that the controller gave to this worker; empty if it gave none.
        held: The boards that this process holds.
        release: Called with each board that is not kept: makes it safe and releases it.

    Raises:
        UnavailableError: There are too few boards that can be used.
        BoardFaultError: A board answers, and cannot be used.
        StickInUseError: A program of this host uses the stick of a board.
    """
    is_remote = acquirer.source.is_remote
    kept = [board for board in held if not is_remote and board.can_be_kept]
    for board in held:
        if board not in kept:
            release(board)
    if is_remote:
        return _acquire_of_lab(acquirer, test, needs, given)
    acquired = _acquire_here(acquirer, test, needs, given, OwnBoards(kept, release))
    for board in acquired:
        board.pass_on(test)
    return acquired


def _acquire_here(
    acquirer: BoardAcquirer,
    test: str,
    needs: Sequence[BoardRequirement],
    given: Sequence[str],
    own: OwnBoards,
) -> list[AcquiredBoard]:
    """Acquire boards of this host; without a board that cannot be used, try again.

    Args:
        acquirer: As for `acquire_partners`, as all others.
        test: The test.
        needs: Which boards will do.
        given: The boards that the controller gave.
        own: The boards that this process holds.
    """
    host = acquirer.source.host()
    choices = [[serial] for serial in given] or [acquirer.search.find(host, need) for need in needs]
    errors: list[HilError] = [_too_few_error(host, needs, choices)]
    while is_possible(choices):
        kept = own.keep(choices)
        missing = [
            [serial for serial in serials if serial not in own]
            for serials, one in zip(choices, kept, strict=True)
            if one is None
        ]
        try:
            new = _acquire_each(acquirer, missing, test, wait=not own) if missing else []
        except BoardBusyError as error:
            if not own:
                raise acquirer.note_in_use([one for some in missing for one in some], error) from None
            own.release()
        except UNUSABLE as error:
            serial = error.serial
            if serial is None or not any(serial in serials for serials in choices):
                raise  # no board is known to be at fault
            errors.append(acquirer.note_unusable(host, serial, error))
            choices = [[one for one in serials if one != serial] for serials in choices]
        else:
            acquired = iter(new)
            return [one or next(acquired) for one in kept]
    raise gravest(errors)


def _acquire_each(
    acquirer: BoardAcquirer, choices: Sequence[Sequence[str]], test: str, *, wait: bool
) -> list[AcquiredBoard]:
    """Lease and open a board for each choice; on an error, release all of them.

    Args:
        acquirer: The acquirer.
        choices: For each board, the boards that would do.
        test: The test that the boards are for.
        wait: Wait for boards that other processes hold; this process must not hold any then.
    """
    terms = acquirer.terms([serial for serials in choices for serial in serials], test)
    if not wait:
        terms = replace(terms, wait_s=0.0, waits_on=lambda: False)
    leases = lease_boards(acquirer.source, choices, terms)
    acquired: list[AcquiredBoard] = []
    with ExitStack() as undone:
        for lease in leases:
            undone.callback(lease.release_unused)
        for lease in leases:
            limit_s = acquirer.search.patience_s(lease.serial)
            acquired.append(_open_named(acquirer.source, lease, terms, limit_s))
            undone.callback(acquired[-1].make_safe_and_release)
        undone.pop_all()
    return acquired


def _open_named(source: BoardSource, lease: GuardedLease, terms: Terms, limit_s: float) -> AcquiredBoard:
    """Open a leased board; an error names the board, so that the others can be told from it."""
    try:
        return open_leased(source, lease, terms, limit_s)
    except UNUSABLE as error:
        error.serial = lease.serial
        raise


def _acquire_of_lab(
    acquirer: BoardAcquirer, test: str, needs: Sequence[BoardRequirement], given: Sequence[str]
) -> list[AcquiredBoard]:
    """Lease a board of a Jumpstarter lab for each requirement, and hold none while one is in use.

    Args:
        acquirer: Acquires the first board; each partner has a source of its own.
        test: The test that the boards are for.
        needs: Which boards will do.
        given: The boards that the controller gave to this worker; empty if it gave none.

    Raises:
        UnavailableError: The lab has too few boards that can be used.
    """
    deadline, pause_s = Deadline(acquirer.wait_s if acquirer.may_wait else 0.0), FIRST_LAB_PAUSE_S
    no_line = nullcontext(lambda _left_s: None)  # the controller has waited in line
    with no_line if given else acquirer.source.line(needs, acquirer.wait_s) as reserve:
        while True:
            try:
                reserve(deadline.left_s)
                return _acquire_one_by_one(acquirer, test, needs, given)
            except BoardBusyError:
                if deadline.passed:
                    raise
            acquirer.source.look_again()
            sleep(pause_s * (0.5 + random()))  # noqa: S311 - so that two runs do not try in step
            pause_s = min(2 * pause_s, LONGEST_LAB_PAUSE_S)


def _acquire_one_by_one(
    acquirer: BoardAcquirer, test: str, needs: Sequence[BoardRequirement], given: Sequence[str]
) -> list[AcquiredBoard]:
    """Lease one board after the other; if one cannot be used, give all back."""
    with ExitStack() as undone:
        acquired: list[AcquiredBoard] = []
        for need, serial in zip_longest(needs, given):
            one = acquirer.of_source(acquirer.source.another()) if acquired else acquirer
            acquired.append(one.acquire(test, replace(need, partners=()), serial))
            undone.callback(acquired[-1].make_safe_and_release)
        undone.pop_all()
        return acquired


def _too_few_error(
    host: Host, needs: Sequence[BoardRequirement], choices: Sequence[Sequence[str]]
) -> BoardAbsentError:
    """Return the error for a test that needs more boards than there are."""
    there = sorted({serial for serials in choices for serial in serials})
    asked = Counter(map(str, needs))
    tags = (
        ", or give the boards the tags that the test asks for" if any(one.has_words for one in needs) else ""
    )
    return BoardAbsentError(
        f"this test uses {len(needs)} boards at once, and there are too few that will do",
        why=f"it needs {' and '.join(f'{number} {need}' for need, number in asked.items())}; found: "
        f"{', '.join(with_names(f'board {serial}') for serial in there) or 'none'}",
        remedy=f"{host.remedy_for_too_few(len(needs))}{tags}",
    )


class OwnBoards:
    """The boards that this process holds when it acquires those of its next test; `keep` keeps what will do.

    Args:
        held: The boards; all of them work.
        release: Called with each that is not kept: makes it safe and releases it.
    """

    def __init__(self, held: Iterable[AcquiredBoard], release: Callable[[AcquiredBoard], None]) -> None:
        self._held = {one.board.serial: one for one in held}
        self._release = release

    def __bool__(self) -> bool:
        """Return True if this process holds any board."""
        return bool(self._held)

    def __contains__(self, serial: str) -> bool:
        """Return True if this process holds a board."""
        return serial in self._held

    def keep(self, choices: Sequence[Sequence[str]]) -> list[AcquiredBoard | None]:
        """Return the own board for each choice, or None where another has to be acquired; release the rest.

        Args:
            choices: For each board that is needed, the boards that would do.
        """
        own_first = [sorted(serials, key=lambda serial: serial not in self._held) for serials in choices]
        chosen = choose(own_first, {serial for serials in choices for serial in serials}) or []
        for serial in self._held.keys() - set(chosen):
            self._release(self._held.pop(serial))
        return [self._held.get(serial) for serial in chosen]

    def release(self) -> None:
        """Release all of them."""
        while self._held:
            self._release(self._held.popitem()[1])
