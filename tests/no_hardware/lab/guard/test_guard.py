"""Guards: whatever ends a holder, its board is safe before the next lease. Real processes, real signals."""

import json
import operator
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.errors import BoardBusyError, BoardLostError, GuardError
from hil.lab.guard.recovery import retry_until_safe
from hil.lab.guard.task import GuardTask
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.locks.stopped_guards import GUARD_NAME
from hil.lab.safe_state.attempt import make_safe_and_record, try_make_safe
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import BoardRecord, BoardState, read_record, write_record
from tests.support.programs import has_ended, program, stat_fields

if TYPE_CHECKING:
    from hil.lab.locks.wait_status import WaitStatus

SERIAL = "5a1c0e01"
SOON_S = 60.0
PIDFD = Path(f"/proc/self/fd/{os.pidfd_open(os.getpid())}").readlink().name.partition(":[")[0]

HOLDER = program(__file__, "guard_holder")


class Holder:
    """A process that holds the board, which is on."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.guard = int(self._line())

    def do(self, python: str) -> None:
        self._say(python)
        self._line()

    def die_by(self, python: str) -> None:
        self._say(python)
        self.process.wait(SOON_S)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _say(self, python: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(python + "\n")
        self.process.stdin.flush()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


TURNS = program(__file__, "guard_turns")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board"
    path.write_text("off")
    return path


@pytest.fixture
def holder(tmp_path: Path, board: Path) -> Iterator[Holder]:
    assert board.exists()
    holder = Holder(tmp_path)
    yield holder
    holder.close()
    assert until(lambda: has_ended(holder.guard), SOON_S)


def guards_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/comm"):
        try:
            if entry.read_text().strip() == GUARD_NAME and str(folder) in str(
                lock_of(int(entry.parent.name))
            ):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def lock_of(pid: int) -> list[Path]:
    links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return [link for link in links if link.suffix == ".lock"]


def files_of(pid: int) -> list[str]:
    links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return sorted(link.name.partition(":[")[0] for link in links)


def descriptors_and_threads() -> tuple[int, int]:
    descriptors, tasks = Path("/proc/self/fd"), Path("/proc/self/task")
    return len(list(descriptors.iterdir())), len(list(tasks.iterdir()))


@pytest.mark.parametrize(
    "death",
    [
        "os.kill(os.getpid(), 9)",
        "os.kill(os.getpid(), 15)",
        "os.kill(os.getpid(), 2)",
        "os.kill(os.getpid(), 1)",
        "os.killpg(0, 9)",
        "os._exit(0)",
        "sys.exit(0)",
        "os.abort()",
        "os.execv('/bin/true', ['true'])",
    ],
)
def test_guard_makes_the_board_safe_whatever_ends_its_holder(holder: Holder, board: Path, death: str) -> None:
    holder.die_by(death)

    assert until(lambda: board.read_text() == "off", SOON_S)


def test_guard_keeps_the_board_locked_until_it_is_safe(holder: Holder, board: Path, safety: Safety) -> None:
    holder.die_by("os.kill(os.getpid(), 9)")
    folder = board.parent

    with under_guard(acquire(SERIAL, wait_s=SOON_S, folder=folder), safety) as lease:
        assert board.read_text() == "off"
        assert "made safe by guard" in str(lease.found.events[-1])
        assert lease.made_safe is None


def test_guard_records_who_died_and_what_it_measured(holder: Holder, board: Path) -> None:
    pid = holder.process.pid
    holder.die_by("os.kill(os.getpid(), 9)")
    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()

    event = read_record(board.parent, SERIAL).events[-1]
    assert str(pid) in event.why
    assert "theirs.py::test_long" in event.why
    assert event.amps == 0.0


def test_guard_makes_a_board_safe_again_after_its_holders_processes_ended(
    holder: Holder, board: Path
) -> None:
    holder.do("from subprocess import *")
    holder.do("left = Popen(['sleep', '100'], stdout=DEVNULL, pass_fds=[mark])")
    holder.do("(folder / 'left').write_text(str(left.pid))")
    holder.die_by("os._exit(1)")
    assert until(lambda: board.read_text() == "off", SOON_S)
    with pytest.raises(BoardBusyError):
        acquire(SERIAL, wait_s=1, folder=board.parent)
    assert read_record(board.parent, SERIAL).state is BoardState.IN_USE

    board.write_text("on again")
    os.kill(int(board.with_name("left").read_text()), signal.SIGKILL)

    with acquire(SERIAL, wait_s=SOON_S, folder=board.parent):
        assert board.read_text() == "off"
        assert read_record(board.parent, SERIAL).state is BoardState.SAFE


def test_guard_waits_for_a_silent_board(holder: Holder, board: Path) -> None:
    board.write_text("busy")
    holder.die_by("os._exit(1)")

    assert until(lambda: board.read_text() == "off", SOON_S)


@pytest.mark.parametrize("trouble", ["silent", "denied", "no backend", "stuck"])
def test_guard_unlocks_a_board_in_trouble_and_makes_it_safe_later(
    holder: Holder, board: Path, trouble: str
) -> None:
    board.write_text(trouble)
    holder.die_by("os._exit(1)")
    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()
    assert read_record(board.parent, SERIAL).state is BoardState.UNSAFE

    board.write_text("on")

    assert until(lambda: board.read_text() == "off", SOON_S)
    assert until(lambda: read_record(board.parent, SERIAL).state is BoardState.SAFE, SOON_S)


@pytest.mark.thorough
def test_guard_leaves_a_board_alone_that_another_process_made_safe(
    holder: Holder, board: Path, safety: Safety
) -> None:
    board.write_text("silent")
    holder.die_by("os._exit(1)")
    lease = acquire(SERIAL, wait_s=SOON_S, folder=board.parent)
    board.write_text("on")

    with under_guard(lease, safety):
        board.write_text("on again")
        assert until(lambda: has_ended(holder.guard), 0.5) is None
        assert board.read_text() == "on again"
    board.write_text("left on by hand")

    assert until(lambda: has_ended(holder.guard), SOON_S)
    assert board.read_text() == "left on by hand"


def test_wait_status_names_a_guard_that_makes_the_board_safe(holder: Holder, board: Path) -> None:
    board.unlink()
    holder.die_by("os._exit(1)")
    news: list[WaitStatus] = []
    acquire(SERIAL, wait_s=SOON_S, on_wait=news.append, folder=board.parent).release()

    assert any("making the board safe" in str(waiting) for waiting in news)


def test_unplugged_board_is_recorded_and_made_safe_first_when_it_is_back(
    holder: Holder, board: Path, safety: Safety
) -> None:
    board.unlink()
    holder.die_by("os._exit(1)")
    lease = acquire(SERIAL, wait_s=SOON_S, folder=board.parent)
    assert read_record(board.parent, SERIAL).state is BoardState.UNSAFE
    board.write_text("on")

    with under_guard(lease, safety) as guarded:
        assert board.read_text() == "off"
        assert "not on the bus" in guarded.found.events[-1].why
        assert guarded.made_safe is not None


def test_under_guard_refuses_a_board_that_cannot_be_made_safe(
    holder: Holder, board: Path, safety: Safety
) -> None:
    board.unlink()
    holder.die_by("os._exit(1)")
    lease = acquire(SERIAL, wait_s=SOON_S, folder=board.parent)

    with pytest.raises(BoardLostError, match="not on the bus"):
        under_guard(lease, safety)
    acquire(SERIAL, folder=board.parent).release()
    assert read_record(board.parent, SERIAL).needs_safety


def test_under_guard_leaves_the_board_to_its_guard_if_it_is_interrupted(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hil.lab.guard.under_guard.try_make_safe", interrupt)
    write_record(board.parent, SERIAL, BoardRecord(BoardState.UNSAFE))
    board.write_text("on")
    lease = acquire(SERIAL, folder=board.parent)

    with pytest.raises(KeyboardInterrupt):
        under_guard(lease, safety)
    lease.release_untouched()  # as `lease_boards` does

    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()
    assert board.read_text() == "off"


def test_guard_that_tries_again_makes_a_board_safe_whose_next_holder_died_with_its_guard(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.guard.recovery.FIRST_PAUSE_S", 0.01)
    died = acquire(SERIAL, folder=board.parent)
    write_record(board.parent, SERIAL, BoardRecord().marked_in_use(died.holder))
    board.write_text("on")
    died.lock.close()

    retry_until_safe(GuardTask(SERIAL, died.lock.path, replace(safety, linger_s=SOON_S)), "its holder ended")

    assert board.read_text() == "off"
    assert read_record(board.parent, SERIAL).state is BoardState.SAFE


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP]
)
def test_guard_ignores_signals_that_are_meant_for_the_run(
    holder: Holder, board: Path, number: signal.Signals
) -> None:
    os.kill(holder.guard, number)
    holder.die_by("os._exit(1)")

    assert until(lambda: board.read_text() == "off", SOON_S)


def test_killed_guard_is_replaced_while_the_board_stays_locked(holder: Holder, board: Path) -> None:
    os.kill(holder.guard, signal.SIGKILL)
    assert until(lambda: any(pid != holder.guard for pid in guards_of(board.parent)), SOON_S)
    with pytest.raises(BoardBusyError):
        acquire(SERIAL, folder=board.parent)
    holder.die_by("os.kill(os.getpid(), 9)")

    assert until(lambda: board.read_text() == "off", SOON_S)


def test_next_holder_makes_the_board_safe_after_holder_and_guard_were_killed(
    holder: Holder, board: Path, safety: Safety
) -> None:
    os.kill(holder.process.pid, signal.SIGSTOP)
    os.kill(holder.guard, signal.SIGKILL)
    os.kill(holder.process.pid, signal.SIGKILL)
    holder.process.wait()
    assert board.read_text() == "on"

    with under_guard(acquire(SERIAL, wait_s=SOON_S, folder=board.parent), safety) as lease:
        assert board.read_text() == "off"
        assert lease.found.state is BoardState.IN_USE


def test_make_safe_and_record_makes_the_board_of_a_killed_holder_safe(
    holder: Holder, board: Path, safety: Safety
) -> None:
    os.kill(holder.process.pid, signal.SIGSTOP)
    os.kill(holder.guard, signal.SIGKILL)
    os.kill(holder.process.pid, signal.SIGKILL)

    with acquire(SERIAL, wait_s=SOON_S, folder=board.parent) as lease:
        event = make_safe_and_record(lease.lock.path.parent, lease.serial, safety, lease=lease)

    assert event.by == "hil safe"
    assert not read_record(board.parent, SERIAL).needs_safety


def test_guard_ends_without_acting_after_a_release(holder: Holder, board: Path) -> None:
    holder.do("lease.release()")

    assert until(lambda: has_ended(holder.guard), SOON_S)
    assert board.read_text() == "on"
    acquire(SERIAL, folder=board.parent).release()
    assert not read_record(board.parent, SERIAL).needs_safety


def test_abandon_lets_the_guard_act_while_its_holder_lives(holder: Holder, board: Path) -> None:
    holder.do("os.close(mark)")  # nothing that it started drives the board
    holder.do("lease.abandon()")
    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()

    assert board.read_text() == "off"
    assert holder.process.poll() is None


def test_guarded_lease_abandons_the_board_after_an_error(board: Path, safety: Safety) -> None:
    board.write_text("on")
    with pytest.raises(ZeroDivisionError), under_guard(acquire(SERIAL, folder=board.parent), safety):
        raise ZeroDivisionError

    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()
    assert board.read_text() == "off"


def test_under_guard_starts_no_guard_for_a_place_that_says_leave(board: Path) -> None:
    with under_guard(acquire(SERIAL, folder=board.parent), Safety(policy="leave")) as lease:
        assert lease.guard is None
    assert read_record(board.parent, SERIAL).state is BoardState.UNKNOWN


def test_guard_has_its_own_session_and_no_parent(holder: Holder) -> None:
    parent, _group, session = stat_fields(holder.guard)[1:4]

    assert int(parent) != holder.process.pid
    assert int(session) not in {os.getsid(holder.process.pid), os.getsid(0)}


def test_guard_has_only_the_files_that_it_needs(holder: Holder) -> None:
    expected = sorted(["null", "null", "null", f"hil-board-{SERIAL}.lock", "pipe", "socket", PIDFD])

    assert until(lambda: files_of(holder.guard) == expected, SOON_S)
    assert Path(f"/proc/{holder.guard}/cwd").readlink() == Path("/")


def test_guard_has_no_variable_by_which_a_ci_system_finds_it(
    tmp_path: Path, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert board.exists()
    monkeypatch.setenv("RUNNER_TRACKING_ID", "github_1")
    holder = Holder(tmp_path)

    assert b"RUNNER_TRACKING_ID" not in Path(f"/proc/{holder.guard}/environ").read_bytes()
    holder.close()


def test_guard_finds_what_is_known_of_sticks_in_the_lock_folder_of_its_holder(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(board.parent)
    monkeypatch.setenv("HIL_LOCK_DIR", ".")  # a guard is in another folder

    with under_guard(acquire(SERIAL, folder=board.parent), safety) as lease:
        assert lease.guard is not None
        environ = Path(f"/proc/{lease.guard.wait_until_ready()}/environ").read_bytes()

    assert f"HIL_LOCK_DIR={board.parent}".encode() in environ.split(b"\0")


def test_guard_acts_though_a_forked_child_of_its_holder_lives(holder: Holder, board: Path) -> None:
    holder.do("child = os.fork() or signal.pause(); (folder / 'child').write_text(str(child))")
    child = int((board.parent / "child").read_text())
    holder.die_by("os.kill(os.getpid(), 9)")

    try:
        assert until(lambda: board.read_text() == "off", SOON_S)
        assert not has_ended(child)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("act", ["release", "abandon", "close"])
def test_forked_child_can_neither_release_the_board_nor_mark_it_safe(
    holder: Holder, board: Path, act: str
) -> None:
    holder.do(f"child = os.fork() or (lease.{act}(), os._exit(0)); os.waitpid(child, 0)")

    assert read_record(board.parent, "5a1c0e01").state is BoardState.IN_USE
    with pytest.raises(BoardBusyError):
        acquire("5a1c0e01", folder=board.parent)
    holder.die_by("os.kill(os.getpid(), 9)")
    assert until(lambda: board.read_text() == "off", SOON_S)


def test_abandon_makes_the_board_safe_though_the_guard_was_killed(board: Path, safety: Safety) -> None:
    lease = under_guard(acquire(SERIAL, folder=board.parent), safety)
    assert lease.guard is not None
    guard = lease.guard.wait_until_ready()
    assert guard is not None
    board.write_text("on")
    os.kill(guard, signal.SIGKILL)
    lease.abandon()
    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()

    assert board.read_text() == "off"


def test_guarded_lease_leaves_no_descriptor_and_no_thread(board: Path, safety: Safety) -> None:
    with under_guard(acquire(SERIAL, folder=board.parent), safety) as lease:
        lease.set_test("a_test")
    lease.release()
    before = descriptors_and_threads()
    for _ in range(5):
        under_guard(acquire(SERIAL, wait_s=SOON_S, folder=board.parent), safety).release()
        under_guard(acquire(SERIAL, wait_s=SOON_S, folder=board.parent), safety).abandon()

    # A guard that was left to finish ends a moment later, and so may a thread of an earlier test.
    assert until(lambda: all(map(operator.le, descriptors_and_threads(), before)), SOON_S)


def test_under_guard_raises_if_no_guard_can_run(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(GuardError, match="cannot be started"):
        under_guard(acquire(SERIAL, folder=board.parent), safety)

    acquire(SERIAL, folder=board.parent).release()


@pytest.mark.thorough  # each turn starts a guard
def test_guarded_lease_leaks_nothing_in_600_turns(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # what it collects would count as a leak
    turns = [sys.executable, "-c", TURNS, str(board)]
    before, after = map(json.loads, subprocess.check_output(turns, text=True).splitlines())

    assert after["left open"] == before["left open"]
    assert after["KiB"] - before["KiB"] < 1024


def test_guard_is_as_patient_as_ever_if_its_holder_waits_shortly(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Safety] = []
    monkeypatch.setattr(
        "hil.lab.guard.guarded_lease.GuardedLease.start_guard", lambda _, given, *__: tried.append(given)
    )
    monkeypatch.setattr(
        "hil.lab.guard.under_guard.try_make_safe",
        lambda given, *_, **how: tried.append(given) or try_make_safe(given, *_, **how),
    )
    write_record(board.parent, SERIAL, BoardRecord(BoardState.UNSAFE))

    under_guard(acquire(SERIAL, folder=board.parent), safety, wait_s=0.5).release_unused()

    assert [one.limit_s for one in tried] == [safety.limit_s, 0.5]
