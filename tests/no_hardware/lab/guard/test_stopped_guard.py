"""A stopped guard: it does nothing if its lease was ended before it continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.lab.guard import guard
from hil.lab.guard.recovery import recover
from hil.lab.guard.task import GuardTask
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.locks.lock_file import LockFile
from hil.lab.safe_state.record import BoardRecord, SafetyEvent, write_record
from tests.support.programs import has_ended, program

if TYPE_CHECKING:
    from pathlib import Path

    from hil.lab.safe_state.policy import Safety

SERIAL = "5a1c0e01"
SOON_S = 60.0


def test_guard_that_was_stopped_is_killed_before_it_is_replaced(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "TAKE_S", 0.2)
    lease = under_guard(acquire(SERIAL, folder=board.parent), safety)
    assert lease.guard is not None
    pid = lease.guard.wait_until_ready()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    lease.abandon()

    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()
    assert board.read_text() == "off"
    assert until(lambda: has_ended(pid), SOON_S)


@pytest.mark.parametrize("went_on", ["another holds it", "it was made safe", "another used it"])
def test_guard_that_continues_late_leaves_the_board_to_later_holders(
    board: Path, safety: Safety, went_on: str
) -> None:
    lease = acquire(SERIAL, folder=board.parent)
    task = GuardTask(SERIAL, lease.lock.path, safety)
    guards_own = os.dup(lease.lock.descriptor)
    lease.release()  # as another guard does that had the same task
    other = Holder.here()._replace(pid=1, since=lease.holder.since)
    record = BoardRecord().marked_in_use(lease.holder).with_event(SafetyEvent.made_safe("died", "guard", 0.0))
    write_record(board.parent, SERIAL, record)
    held = acquire(SERIAL, folder=board.parent) if went_on == "another holds it" else None
    if went_on == "another used it":
        write_record(board.parent, SERIAL, record.marked_in_use(other))

    recover(guards_own, task.to_json())

    assert board.read_text() == "on"
    if held is not None:
        held.release()
    acquire(SERIAL, folder=board.parent).release()


def test_guard_acts_although_lock_file_and_record_say_that_its_lease_was_ended(
    board: Path, safety: Safety
) -> None:
    lease = acquire(SERIAL, folder=board.parent)
    task = GuardTask(SERIAL, lease.lock.path, safety)
    guards_own = os.dup(lease.lock.descriptor)
    lease.lock.write(Holder.here("of another").to_json())  # as any user may
    write_record(board.parent, SERIAL, BoardRecord().marked_in_use(lease.holder).marked_safe())
    lease.lock.close()  # as when the holder is killed

    recover(guards_own, task.to_json())

    assert board.read_text() == "off"


def test_guard_whose_lock_file_was_removed_works_under_the_new_one(board: Path, safety: Safety) -> None:
    lease = acquire(SERIAL, folder=board.parent)
    write_record(board.parent, SERIAL, BoardRecord().marked_in_use(lease.holder))
    task = GuardTask(SERIAL, lease.lock.path, safety)
    lease.lock.path.unlink()

    recover(os.dup(lease.lock.descriptor), task.to_json())

    assert board.read_text() == "off"
    acquire(SERIAL, folder=board.parent).release()


def test_guard_whose_lock_file_was_replaced_leaves_the_board_to_its_new_holder(
    board: Path, safety: Safety
) -> None:
    lease = acquire(SERIAL, folder=board.parent)
    write_record(board.parent, SERIAL, BoardRecord().marked_in_use(lease.holder))
    task = GuardTask(SERIAL, lease.lock.path, safety)
    lease.lock.path.unlink()
    new = LockFile(lease.lock.path)
    assert new.try_lock()

    recover(os.dup(lease.lock.descriptor), task.to_json())

    assert board.read_text() == "on"
    new.release()


NAMES = """
import os, sys
from pathlib import Path
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
lease = under_guard(acquire("5a1c0e01", folder=Path(sys.argv[1])), Safety())
pid = lease.guard.wait_until_ready()
print(Path(f"/proc/{pid}/comm").read_text().strip())
print(Path(f"/proc/{pid}/cmdline").read_text().replace(chr(0), " ").strip())
lease.release()
"""


def test_guard_has_a_name_of_its_own_in_ps(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", NAMES, tmp_path], capture_output=True, check=True, text=True, timeout=60
    )

    name, title = ran.stdout.splitlines()
    assert name == "hil-guard"
    assert title.startswith("hil-guard of pid ")
    assert all(word not in title for word in ("python", "pytest", str(tmp_path), "5a1c0e01", ".py"))


CLOSED = program(__file__, "stopped_guard_closed")


@pytest.mark.parametrize("closed", ["0", "2", "012"])
def test_closed_standard_streams_collide_with_nothing(tmp_path: Path, closed: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CLOSED, tmp_path, closed], check=False, capture_output=True, timeout=60
    )

    assert ran.returncode == 0
    assert (tmp_path / "log").read_text() == "True True {'/dev/null'}"
