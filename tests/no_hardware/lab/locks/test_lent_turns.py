"""The holder of a board knows how often programs under its lease have turned the mux."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.borrowed_lease import BorrowedLease
from hil.errors import LeaseEndedError, StorageError
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lock_file import LockFile
from tests.support.other_user import MALLORY, VICTIM, as_user, folder_for_everybody, only_root

if TYPE_CHECKING:
    from pathlib import Path

    from hil.lab.locks.lease import Lease

SERIAL = "5a1c0e01"


def note_turn(lease: Lease) -> None:
    """Note a turn as a program under the lease does."""
    BorrowedLease(lease.lend(ends_borrowers=False)).note_turn(SERIAL)


def test_lent_turns_counts_a_turn_of_a_program_under_the_lease(tmp_path: Path) -> None:
    with acquire(SERIAL, folder=tmp_path) as lease:
        before = lease.lent_turns()

        note_turn(lease)

        assert (before, lease.lent_turns()) == (0, 1)


def test_lent_turns_begins_at_zero_after_a_holder_that_was_killed(tmp_path: Path) -> None:
    killed = acquire(SERIAL, folder=tmp_path)
    note_turn(killed)
    killed.lock.close()

    with acquire(SERIAL, folder=tmp_path) as lease:
        assert lease.lent_turns() == 0
        note_turn(lease)
        assert lease.lent_turns() == 1


def test_lent_turns_grows_when_the_lock_file_is_made_again(tmp_path: Path) -> None:
    with acquire(SERIAL, folder=tmp_path) as lease:
        note_turn(lease)
        old = lease.lock
        old.path.unlink()
        fresh = LockFile(old.path)
        assert fresh.try_lock()

        lease.move_to(fresh)

        assert lease.lent_turns() == 2
        old.close()


def test_note_turn_is_refused_after_the_lease(tmp_path: Path) -> None:
    lease = acquire(SERIAL, folder=tmp_path)
    lent = BorrowedLease(lease.lend(ends_borrowers=False))
    lease.release()

    with pytest.raises(LeaseEndedError):
        lent.note_turn(SERIAL)


def test_repeated_release_leaves_the_next_holder_what_it_was_told(tmp_path: Path) -> None:
    lease = acquire(SERIAL, folder=tmp_path)
    lease.release()

    with acquire(SERIAL, folder=tmp_path) as following:
        note_turn(following)
        lease.release()

        assert following.lent_turns() == 1


@only_root
@pytest.mark.parametrize("left", ["", ".turns"])
def test_lent_turns_counts_in_a_file_that_another_user_made(left: str) -> None:
    def count() -> int:
        with acquire(SERIAL, folder=folder) as lease:
            note_turn(lease)
            return lease.lent_turns()

    with folder_for_everybody() as folder:
        lock = as_user(MALLORY, lambda: _left_by_a_killed_holder(folder, left))

        assert (as_user(VICTIM, count), lock.stat().st_uid) == (1, MALLORY)


def _left_by_a_killed_holder(folder: Path, left: str) -> Path:
    lock = acquire(SERIAL, folder=folder).lock
    lock.close()
    if left:
        lock.path.with_name(f"{lock.path.name}{left}").touch(0o644)
    return lock.path


@only_root
def test_note_turn_raises_for_a_lock_file_that_its_user_cannot_write() -> None:
    with folder_for_everybody() as folder, acquire(SERIAL, folder=folder) as lease:
        lent = BorrowedLease(lease.lend(ends_borrowers=False))
        lease.lock.path.chmod(0o644)

        with pytest.raises(StorageError, match="the mux was not turned"):
            as_user(MALLORY, lambda: lent.note_turn(SERIAL))
