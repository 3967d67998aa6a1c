"""Every user may write a lock file: what stands in it lends no board and kills no process."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.borrowed_lease import CONTENT_BYTES, FLOCK, LEASED, LENT, OF_BOARD, BorrowedLease, token_hash
from hil.dutlink.timing import until
from hil.errors import BoardBusyError, LeaseEndedError
from hil.lab.guard.recovery import recover
from hil.lab.guard.task import GuardTask
from hil.lab.locks import lending
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lending import ENDS
from hil.lab.locks.lock_file import LockFile, lock_path
from tests.support.other_user import MALLORY, as_user, folder_for_everybody, only_root
from tests.support.programs import program, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.lab.locks.lease import Lease
    from hil.lab.safe_state.policy import Safety

SERIAL, OTHER = "5a1c0e01", "5a1c0e02"
SOON_S = 60.0
HOLDER = program(__file__, "lending_holder")
STOPS_IN_A_REQUEST = program(__file__, "lending_stops_in_a_request")
STOPPED_GUARD = """
import os
open("/proc/self/comm", "w").write("hil-guard")
os.kill(os.getpid(), 19)
"""


@contextmanager
def locked_by_a_stranger(path: Path, kind: int) -> Iterator[None]:
    """Lock a lock file as any user may: alone, or shared as a request of a borrower shares it."""
    stranger = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(stranger, fcntl.F_OFD_SETLK, FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
        yield
    finally:
        os.close(stranger)


@contextmanager
def running(*command: str, token: str = "") -> Iterator[subprocess.Popen[str]]:
    environ = os.environ | {LEASED: token}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def facts_in(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_bytes()[:CONTENT_BYTES])
    return facts


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    path.write_bytes(json.dumps(facts).encode().ljust(CONTENT_BYTES))


def test_next_holder_kills_no_program_whose_hash_was_copied_from_another_board(tmp_path: Path) -> None:
    acquire(SERIAL, folder=tmp_path).release()
    with (
        acquire(OTHER, folder=tmp_path) as lease,
        running("sleep", "100", token=lease.lend(ends_borrowers=True)) as process,
    ):
        facts = facts_in(lease.lock.path)
        write_facts(lock_path(tmp_path, SERIAL), facts | {OF_BOARD: SERIAL, ENDS: facts.get(ENDS)})

        acquire(SERIAL, folder=tmp_path).release()

        assert process.poll() is None


@pytest.mark.parametrize("forged", [True, "its hash"])
def test_next_holder_kills_no_program_that_was_not_to_end_with_its_lease(
    tmp_path: Path, forged: object
) -> None:
    lease = acquire(SERIAL, folder=tmp_path)
    with running("sleep", "100", token=lease.lend(ends_borrowers=False)) as process:
        lease.lock.close()  # as when holder and guard are killed
        facts = facts_in(lease.lock.path)
        write_facts(lease.lock.path, facts | {ENDS: facts[LENT] if forged == "its hash" else forged})

        acquire(SERIAL, folder=tmp_path).release()

        assert process.poll() is None


def test_next_holder_kills_a_program_that_was_to_end_with_its_lease(tmp_path: Path) -> None:
    lease = acquire(SERIAL, folder=tmp_path)
    with running("sleep", "100", token=lease.lend(ends_borrowers=True)) as process:
        lease.lock.close()

        acquire(SERIAL, folder=tmp_path).release()

        assert process.wait(SOON_S) == -9


def test_next_holder_kills_no_program_that_got_the_pid_of_a_borrower_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = acquire(SERIAL, folder=tmp_path)
    lease.lend(ends_borrowers=True)
    lent, hashes_of, reused = facts_in(lease.lock.path)[ENDS], lending._hashes_of, list[str]()
    lease.lock.close()
    with running("sleep", "100") as process:

        def as_before_the_reuse(at: Any, serial: str) -> list[str]:
            is_first = str(at).rpartition("/")[2] == str(process.pid) and not reused
            reused.extend([lent] if is_first else [])
            return [lent] if is_first else hashes_of(at, serial)

        monkeypatch.setattr(lending, "_hashes_of", as_before_the_reuse)

        acquire(SERIAL, folder=tmp_path).release()

        assert reused
        assert process.poll() is None


@only_root
def test_hash_that_another_user_wrote_lends_nothing() -> None:
    with folder_for_everybody() as folder, running(sys.executable, "-c", HOLDER, str(folder)) as holder:
        line_of(holder)
        path = lock_path(folder, SERIAL)
        token = f"{'0' * 32}@{path}"
        own = {LENT: token_hash(token, SERIAL), OF_BOARD: SERIAL}
        as_user(MALLORY, lambda: write_facts(path, facts_in(path) | own))

        assert as_user(MALLORY, BorrowedLease(token).board) == ""
        with pytest.raises(LeaseEndedError, match=f"board {SERIAL} is not leased for this program"):
            as_user(MALLORY, partial(BorrowedLease(token).share, SERIAL))


def test_lease_is_lent_to_all_processes_of_its_user(tmp_path: Path) -> None:
    with running(sys.executable, "-c", HOLDER, str(tmp_path)) as holder:
        assert BorrowedLease(line_of(holder)).board() == SERIAL


@only_root
def test_lease_is_lent_to_a_process_below_its_holder_that_became_another_user() -> None:
    with folder_for_everybody() as folder, acquire(SERIAL, folder=folder) as lease:
        lent = BorrowedLease(lease.lend(ends_borrowers=False))

        assert as_user(MALLORY, lent.board) == SERIAL


@pytest.mark.timeout(30)
def test_request_does_not_wait_for_a_program_that_locked_the_lock_file(tmp_path: Path) -> None:
    with acquire("5a1c0e01", folder=tmp_path) as lease:
        token = lease.lend(ends_borrowers=False)
        with (
            locked_by_a_stranger(lease.lock.path, fcntl.F_WRLCK),
            pytest.raises(LeaseEndedError, match="cannot be checked") as caught,
        ):
            BorrowedLease(token).share("5a1c0e01")
    assert "fuser" in caught.value.remedy


@pytest.mark.parametrize("end", ["end_lending", "recover"])
def test_program_that_was_stopped_in_a_request_is_killed_when_its_lease_ends(
    board: Path, safety: Safety, end: str
) -> None:
    lease = acquire(SERIAL, folder=board.parent)
    token = lease.lend(ends_borrowers=False)
    with running(sys.executable, "-c", STOPS_IN_A_REQUEST, token=token) as process:
        assert until(lambda: state_of(process.pid) == "T", SOON_S)

        _ends(lease, safety, end)

        assert process.wait(SOON_S) == -9


@pytest.mark.parametrize("kind", [fcntl.F_WRLCK, fcntl.F_RDLCK], ids=["alone", "shared"])
def test_guard_cuts_power_while_a_stranger_has_locked_the_lock_file(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr("hil.lab.locks.lending._REQUEST_LIMIT_S", 2 * SOON_S)
    lease = acquire(SERIAL, folder=board.parent)
    with locked_by_a_stranger(lease.lock.path, kind):
        guard = threading.Thread(target=_ends, args=(lease, safety, "recover"))
        guard.start()
        cut = until(lambda: board.read_text() == "off", SOON_S)
    guard.join()

    assert cut


def test_next_holder_waits_for_no_stranger_who_has_locked_the_lock_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.locks.lending.until", lambda find, *_: find() or pytest.fail("it waits"))
    acquire(SERIAL, folder=tmp_path).release()

    with locked_by_a_stranger(lock_path(tmp_path, SERIAL), fcntl.F_WRLCK):
        acquire(SERIAL, folder=tmp_path).release()


def _ends(lease: Lease, safety: Safety, end: str) -> None:
    if end == "end_lending":
        lease.end_lending()
        lease.release()
        return
    guards_own = os.dup(lease.lock.descriptor)
    lease.lock.close()  # as when the holder is killed
    recover(guards_own, GuardTask(SERIAL, lease.lock.path, safety).to_json())


def test_busy_error_names_no_guard_because_of_what_stands_in_the_lock_file(tmp_path: Path) -> None:
    with (
        running(sys.executable, "-c", STOPPED_GUARD) as stopped,
        acquire(SERIAL, folder=tmp_path) as lease,
    ):
        assert until(lambda: state_of(stopped.pid) == "T", SOON_S)
        write_facts(lease.lock.path, facts_in(lease.lock.path) | {"pid": stopped.pid})

        with pytest.raises(BoardBusyError) as caught:
            acquire(SERIAL, folder=tmp_path)

    assert "kill" not in caught.value.remedy
    assert LockFile(lock_path(tmp_path, SERIAL)).try_lock()
