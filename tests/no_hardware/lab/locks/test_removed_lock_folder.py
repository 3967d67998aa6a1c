"""A lock file, record or lock folder that is removed during a lease: the board is still made safe."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.lab.guard.recovery import recover
from hil.lab.guard.task import GuardTask
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import (
    BoardRecord,
    BoardState,
    SafetyEvent,
    read_record,
    record_path,
    write_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERIAL = "5a1c0e01"
SOON_S = 60.0

RUN = """
import sys
from pathlib import Path
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
safety = Safety("tests.support.fake_board:switch_off", {"board": sys.argv[2]}, limit_s=1.5, absent_s=0.1)
lease = under_guard(acquire("5a1c0e01", folder=Path(sys.argv[1])), safety)
for line in sys.stdin:
    lease.set_test(line.strip())
    print(lease.guard.wait_until_ready(), flush=True)
"""


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    locks = tmp_path / "workspace" / "locks"
    locks.mkdir(parents=True)
    return locks


class Run:
    """A process that holds the board."""

    def __init__(self, locks: Path, board: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, locks, board],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.guard = self.begin_test("t.py::test_1")

    def begin_test(self, test: str) -> int:
        """Note the test that the board is used for, and return the pid of the guard."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{test}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        """Kill it as the out-of-memory killer does."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def run(locks: Path, board: Path) -> Iterator[Run]:
    run = Run(locks, board)
    yield run
    run.kill()


def remove(locks: Path, what: str) -> None:
    if what in {"record", "both files"}:
        record_path(locks, SERIAL).unlink()
    if what in {"lock", "both files"}:
        (locks / f"hil-board-{SERIAL}.lock").unlink()
    if what.startswith("folder"):
        shutil.rmtree(locks)
    if what == "folder, made again":
        locks.mkdir()
    if what == "workspace":
        shutil.rmtree(locks.parent)


@pytest.mark.parametrize("what", ["record", "both files", "folder", "folder, made again", "workspace"])
def test_guard_makes_a_board_safe_whose_files_were_removed(
    run: Run, locks: Path, board: Path, what: str
) -> None:
    remove(locks, what)

    run.kill()

    assert until(lambda: board.read_text() == "off", SOON_S)
    if what != "workspace":
        assert until(lambda: bool(read_record(locks, SERIAL).events), SOON_S)
        acquire(SERIAL, wait_s=SOON_S, folder=locks).release()


def test_run_whose_lock_folder_was_removed_goes_on_under_a_new_one(
    run: Run, locks: Path, board: Path
) -> None:
    remove(locks, "folder")

    run.begin_test("t.py::test_2")

    assert read_record(locks, SERIAL).needs_safety
    run.kill()
    assert until(lambda: board.read_text() == "off", SOON_S)


def test_guard_acts_though_an_older_record_was_restored(locks: Path, board: Path, safety: Safety) -> None:
    lease = acquire(SERIAL, folder=locks)
    task = GuardTask(SERIAL, lease.lock.path, safety)
    remove(locks, "folder, made again")
    earlier = Holder.here()._replace(pid=1, since="2001-01-01T00:00:00+00:00")
    write_record(locks, SERIAL, BoardRecord().marked_in_use(earlier).marked_safe())

    recover(os.dup(lease.lock.descriptor), task.to_json())

    assert board.read_text() == "off"


def test_guard_makes_a_board_safe_although_a_record_names_a_later_holder(
    locks: Path, board: Path, safety: Safety
) -> None:
    lease = acquire(SERIAL, folder=locks)
    task = GuardTask(SERIAL, lease.lock.path, safety)
    remove(locks, "folder, made again")
    under_guard(acquire(SERIAL, folder=locks), safety).release()
    board.write_text("on")

    recover(os.dup(lease.lock.descriptor), task.to_json())

    assert board.read_text() == "off"  # any user may have written that record


def test_next_holder_makes_a_board_safe_whose_record_was_removed_before_run_and_guard_were_killed(
    run: Run, locks: Path, board: Path, safety: Safety
) -> None:
    remove(locks, "record")
    os.kill(run.guard, signal.SIGSTOP)
    run.kill()
    os.kill(run.guard, signal.SIGKILL)

    with under_guard(acquire(SERIAL, wait_s=SOON_S, folder=locks), safety) as lease:
        assert board.read_text() == "off"
        assert str(run.process.pid) in str(lease.made_safe)


def test_board_whose_record_says_nothing_counts_as_in_use_by_a_holder_that_died(locks: Path) -> None:
    died = acquire(SERIAL, folder=locks)
    write_record(locks, SERIAL, read_record(locks, SERIAL).with_position(""))
    died.lock.close()

    with acquire(SERIAL, folder=locks) as lease:
        found = lease.record()

    assert (found.state, found.holder) == (BoardState.IN_USE, died.holder)


def test_under_guard_leaves_a_board_as_it_is_that_was_never_leased(
    locks: Path, board: Path, safety: Safety
) -> None:
    with under_guard(acquire(SERIAL, folder=locks), safety) as lease:
        assert lease.made_safe is None
        assert board.read_text() == "on"


def test_silent_board_is_tried_again_though_its_folder_was_removed(
    locks: Path, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.guard.recovery.FIRST_PAUSE_S", 0.05)
    safety = Safety(
        "tests.support.fake_board:switch_off", {"board": str(board)}, limit_s=0, absent_s=0.1, linger_s=SOON_S
    )
    lease = acquire(SERIAL, folder=locks)
    task = GuardTask(SERIAL, lease.lock.path, safety)
    failed: list[SafetyEvent] = []

    def forget_and_answer(folder: Path, serial: str, record: BoardRecord) -> None:
        write_record(folder, serial, record)
        if not failed:
            failed.extend(record.events)
            remove(locks, "folder")
            board.write_text("on")

    monkeypatch.setattr("hil.lab.guard.recovery.write_record", forget_and_answer)
    board.write_text("silent")

    recover(os.dup(lease.lock.descriptor), task.to_json())

    assert failed[0].silent
    assert board.read_text() == "off"
