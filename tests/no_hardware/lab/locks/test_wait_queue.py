"""Waiting for a lease: first come, first served, also after a waiter was killed or stopped."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hil.dutlink.timing import until
from hil.errors import BoardBusyError, SpoiltFileError, UsageError
from hil.lab.locks import inotify, lock_file, tickets
from hil.lab.locks.acquire import _Wait, acquire
from hil.lab.locks.holder import Holder, format_duration, utc_now
from hil.lab.locks.lease import holder_of
from hil.lab.locks.lock_file import LockFile
from hil.lab.locks.stopped_guards import is_stopped
from hil.lab.locks.tickets import QUEUE_NAME, SLOT_BYTES, QueueEntry, waiting_tickets
from hil.lab.locks.wait_status import WaitStatus
from tests.support.other_user import MALLORY, VICTIM, as_user, folder_for_everybody, only_root
from tests.support.programs import program

ONE, TWO = "5a1c0e01", "5a1c0e02"
SOON_S = 60.0
HIL = Path(lock_file.__file__).parents[2]

WAITER = program(__file__, "wait_queue_waiter")

TURNS = program(__file__, "wait_queue_turns")


class Waiter:
    """A process that waits for a board, then holds it until it is told to let go."""

    def __init__(self, folder: Path, name: str, serials: str = ONE, user: int = 0) -> None:
        before = len(waiting_tickets(folder))
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-c", WAITER, str(HIL), str(folder), name, serials, str(user)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert until(lambda: len(waiting_tickets(folder)) > before or self._has_spoken(), SOON_S)

    def serial(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().partition(" ")[0]

    def _has_spoken(self) -> bool:
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def let_go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hil-test-", dir="/tmp") as name:  # other users see it
        path = Path(name)
        path.chmod(0o1777)
        yield path


@pytest.fixture
def line(folder: Path) -> Iterator[Callable[..., Waiter]]:
    waiters: list[Waiter] = []

    def join(name: str, serials: str = ONE, user: int = 0) -> Waiter:
        waiters.append(Waiter(folder, name, serials, user))
        return waiters[-1]

    yield join
    for waiter in waiters:
        waiter.end()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_acquire_serves_waiters_in_order(folder: Path, line: Callable[..., Waiter]) -> None:
    first = acquire(ONE, folder=folder)
    waiters = [line(str(number)) for number in range(5)]
    first.release()
    served = []
    for waiter in waiters:
        assert waiter.serial() == ONE
        served.append(Holder.from_json((folder / f"hil-board-{ONE}.lock").read_bytes()))
        waiter.let_go()

    assert [holder.test for holder in served if holder] == ["0", "1", "2", "3", "4"]


def test_acquire_gives_a_board_to_the_first_waiter_that_wants_it(
    folder: Path, line: Callable[..., Waiter]
) -> None:
    one, two = acquire(ONE, folder=folder), acquire(TWO, folder=folder)
    wants_one, wants_any, wants_two = line("a", ONE), line("b", f"{ONE},{TWO}"), line("c", TWO)
    two.release()
    assert wants_any.serial() == TWO
    wants_any.let_go()

    assert wants_two.serial() == TWO
    one.release()
    assert wants_one.serial() == ONE


def test_acquire_skips_a_killed_waiter(folder: Path, line: Callable[..., Waiter]) -> None:
    first = acquire(ONE, folder=folder)
    killed, second = line("killed"), line("second")
    killed.process.kill()
    first.release()

    assert second.serial() == ONE


def test_acquire_serves_the_first_waiter_after_a_killed_holder(line: Callable[..., Waiter]) -> None:
    holder = line("holder")
    assert holder.serial() == ONE
    second, third = line("second"), line("third")
    holder.process.kill()

    assert second.serial() == ONE
    assert third.process.poll() is None


def test_acquire_skips_a_stopped_waiter_after_a_while(
    folder: Path, line: Callable[..., Waiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.locks.first_in_line.SKIP_AFTER_S", 0.3)
    first = acquire(ONE, folder=folder)
    stopped = line("stopped")
    stopped.process.send_signal(signal.SIGSTOP)
    first.release()
    began = time.monotonic()

    with acquire(ONE, wait_s=SOON_S, folder=folder):
        assert time.monotonic() - began > 0.3


def test_acquire_skips_a_stopped_waiter_although_the_lock_file_never_rests(
    folder: Path, line: Callable[..., Waiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.locks.first_in_line.SKIP_AFTER_S", 0.5)
    first = acquire(ONE, folder=folder)
    line("stopped").process.send_signal(signal.SIGSTOP)
    first.release()
    served = threading.Event()

    def come_and_go() -> None:
        while not served.wait(0.05):
            lock_file.lock_path(folder, ONE).open("r+").close()

    guests = threading.Thread(target=come_and_go)
    guests.start()
    try:
        with acquire(ONE, wait_s=SOON_S, folder=folder):
            pass
    finally:
        served.set()
        guests.join()


def test_stopped_waiter_that_is_skipped_leaves_the_others_in_their_order(
    folder: Path, line: Callable[..., Waiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.locks.first_in_line.SKIP_AFTER_S", 0.2)
    first = acquire(ONE, folder=folder)
    stopped = line("stopped").process
    stopped.send_signal(signal.SIGSTOP)
    assert until(lambda: is_stopped(stopped.pid), SOON_S)
    first.release()
    second, third = (_Wait(folder, [[ONE]], Holder.here(), None) for _ in range(2))
    try:
        for wait in (second, third):
            wait._wait_for_change(0)
            assert wait._try() is None
        assert len(third._line.ahead) == 2
        while third._wait_for_change(0.25):  # until ONE was free for longer than SKIP_AFTER_S
            pass

        assert third._try() is None
        assert second._try() == [ONE]
    finally:
        second.close()
        third.close()


def test_acquire_without_waiting_does_not_overtake(folder: Path, line: Callable[..., Waiter]) -> None:
    first = acquire(ONE, folder=folder)
    ahead = line("ahead")
    ahead.process.send_signal(signal.SIGSTOP)
    first.release()

    with pytest.raises(BoardBusyError, match="ahead"):
        acquire(ONE, folder=folder)


def test_wait_status_names_holder_and_earlier_waiters(folder: Path, line: Callable[..., Waiter]) -> None:
    first = acquire(ONE, folder=folder, test="first")
    line("ahead")
    news: list[WaitStatus] = []
    with pytest.raises(BoardBusyError):
        acquire(ONE, wait_s=0.2, on_wait=news.append, folder=folder)

    ((serial, holder),) = news[0].holders
    assert (serial, holder) == (ONE, first.holder)
    assert [who.test for who in news[0].ahead] == ["ahead"]


def test_wait_status_is_one_short_line() -> None:
    command = f"pytest {'x' * 300}"
    since = (datetime.now(UTC) - timedelta(seconds=12)).isoformat()
    ahead = Holder("you", 2, command, since, f"tests/{'y' * 300}")

    status = WaitStatus(((ONE, Holder("me", 1, command, since)),), (ahead,))

    assert re.fullmatch(
        rf"board {ONE} held for 1\d s by me \(pid 1, pytest x{{50}}...\); "
        r"1 ahead in line: you \(pid 2, tests/y{51}...\)",
        str(status),
    )


@pytest.mark.parametrize("since", ["", "2999-01-01T00:00:00+00:00", "2026-01-01T00:00:00"])
def test_holder_has_no_duration_if_its_lock_file_tells_no_time_that_has_passed(since: str) -> None:
    assert str(Holder("me", 1, "pytest", since)) == "held by me (pid 1, pytest)"


def test_wait_status_is_no_news_if_only_an_earlier_waiter_left() -> None:
    holders = ((ONE, Holder("me", 1, "pytest", utc_now())),)

    assert not WaitStatus(holders, ()).is_news_after(
        WaitStatus(holders, (Holder("you", 2, "pytest", utc_now()),))
    )


@pytest.mark.parametrize(
    ("duration_s", "told"),
    [(0, "0 s"), (119, "119 s"), (300, "5 min"), (3 * 3600, "3 h"), (50 * 3600, "2 d")],
)
def test_format_duration_takes_a_unit_that_a_person_would(duration_s: float, told: str) -> None:
    assert format_duration(duration_s) == told


def test_wait_status_is_reported_once_for_each_process_and_not_for_each_of_its_tests() -> None:
    first = WaitStatus(((ONE, Holder("me", 1, "pytest", utc_now(), "first")),), ())
    second = WaitStatus(((ONE, Holder("me", 1, "pytest", utc_now(), "second")),), ())
    unnamed = WaitStatus(((ONE, None),), ())
    another = WaitStatus(((ONE, Holder("you", 2, "pytest", utc_now(), "first")),), ())

    assert first.is_news_after(None)
    assert not second.is_news_after(first)
    assert not unnamed.is_news_after(first)
    assert another.is_news_after(first)
    assert str(unnamed) == f"board {ONE} in use by a process that has not given its name"


def test_acquire_ends_at_an_interrupt(folder: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    first = acquire(ONE, folder=folder)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            acquire(ONE, wait_s=SOON_S, folder=folder)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert waiting_tickets(folder) == []
    first.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_acquire_has_one_queue_for_all_users(folder: Path, line: Callable[..., Waiter]) -> None:
    theirs = line("theirs", user=65534)
    assert theirs.serial() == ONE
    first, other = line("first", user=1), line("other", user=65534)
    assert {ticket.holder.test for ticket in waiting_tickets(folder)} == {"first", "other"}
    theirs.let_go()

    assert first.serial() == ONE
    first.let_go()
    assert other.serial() == ONE


def test_acquire_polls_without_inotify(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify.FileWatch, "is_polling", property(lambda _bell: True))
    first = acquire(ONE, folder=folder)
    threading.Timer(0.1, first.release).start()

    with acquire(ONE, wait_s=SOON_S, folder=folder) as second:
        assert second.serial == ONE


@pytest.mark.parametrize(
    "slot", [b"", b"\xff" * SLOT_BYTES, b"[]", b"{}", b'{"number": "x"}', b"[" * 4000, b"\0" * 9999]
)
def test_queue_ignores_what_another_program_writes(folder: Path, slot: bytes) -> None:
    (folder / QUEUE_NAME).write_bytes(slot)

    with acquire(ONE, folder=folder) as mine:
        assert mine.serial == ONE


def test_queue_ignores_the_ticket_of_a_process_that_has_ended(folder: Path) -> None:
    place = QueueEntry(folder, [ONE], Holder.here())
    place.close()

    assert (folder / QUEUE_NAME).stat().st_size == SLOT_BYTES
    assert waiting_tickets(folder) == []


@pytest.mark.parametrize("spoil", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("precious")])
def test_acquire_works_with_a_spoilt_queue_and_logs_it(
    folder: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder / QUEUE_NAME)

    with acquire(ONE, folder=folder), pytest.raises(BoardBusyError):
        acquire(ONE, folder=folder, wait_s=0.1)
    assert f" {folder / QUEUE_NAME}  " in caplog.text
    assert not (folder / "precious").exists()


def test_acquire_without_a_queue_waits_for_the_release(folder: Path) -> None:
    os.mkfifo(folder / QUEUE_NAME)
    held = acquire(ONE, folder=folder)
    threading.Timer(0.1, held.release).start()

    acquire(ONE, wait_s=SOON_S, folder=folder).release()


def test_acquire_works_with_a_full_queue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "MOST_SLOTS", 2)
    places = [QueueEntry(folder, [TWO], Holder.here()) for _ in range(2)]

    with acquire(ONE, folder=folder) as mine:
        assert mine.serial == ONE
    for place in places:
        place.close()


def test_queue_reads_only_the_first_of_10000_slots(folder: Path) -> None:
    acquire(ONE, folder=folder).release()
    os.truncate(folder / QUEUE_NAME, 10_000 * SLOT_BYTES)

    with acquire(ONE, folder=folder) as mine:
        assert mine.serial == ONE


def test_acquire_refuses_a_board_whose_lock_names_are_all_pipes(folder: Path) -> None:
    os.mkfifo(folder / f"hil-board-{ONE}.lock")

    for number in range(2, 2 + lock_file.SPARE_NAMES):
        os.mkfifo(folder / f"hil-board-{ONE}.{number}.lock")

    with pytest.raises(SpoiltFileError, match="a named pipe"):
        acquire(ONE, folder=folder)


@pytest.mark.parametrize("spoil", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("precious")])
def test_acquire_uses_a_spare_name_for_a_spoilt_lock_file_and_logs_it(
    folder: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder / f"hil-board-{ONE}.lock")

    with acquire(ONE, folder=folder), pytest.raises(BoardBusyError, match=str(os.getpid())):
        acquire(ONE, folder=folder)
    assert f"{folder / f'hil-board-{ONE}.lock'} cannot be used" in caplog.text
    assert not (folder / "precious").exists()


def test_acquire_refuses_a_board_that_is_held_by_a_spare_name_after_the_first_was_mended(
    folder: Path,
) -> None:
    first = folder / f"hil-board-{ONE}.lock"
    os.mkfifo(first)

    with acquire(ONE, folder=folder) as held:
        first.unlink()
        with pytest.raises(BoardBusyError):
            acquire(ONE, folder=folder)

    assert held.lock.path != first
    acquire(ONE, folder=folder).release()


@only_root
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o666])
def test_lock_path_is_one_name_whoever_asks(mode: int) -> None:
    with folder_for_everybody() as folder:
        first = folder / f"hil-board-{ONE}.lock"
        as_user(MALLORY, lambda: first.touch() or first.chmod(mode))

        asked = [as_user(uid, lambda: lock_file.lock_path(folder, ONE)) for uid in (MALLORY, VICTIM)]

        assert {*asked, lock_file.lock_path(folder, ONE)} == {asked[0]}
        assert (asked[0] == first) == (mode == 0o666)


def test_acquire_loses_only_the_board_whose_lock_file_is_spoilt(folder: Path) -> None:
    for name in (f"hil-board-{ONE}", *(f"hil-board-{ONE}.{2 + n}" for n in range(lock_file.SPARE_NAMES))):
        os.mkfifo(folder / f"{name}.lock")

    with acquire(ONE, TWO, folder=folder) as mine:
        assert mine.serial == TWO


def test_acquire_accepts_a_lock_file_of_3_gb(folder: Path) -> None:
    path = folder / f"hil-board-{ONE}.lock"
    acquire(ONE, folder=folder).release()
    os.truncate(path, 3 << 30)

    assert holder_of(folder, ONE) is None
    with acquire(ONE, folder=folder), pytest.raises(BoardBusyError, match=str(os.getpid())):
        acquire(ONE, folder=folder)
    assert path.stat().st_size == 0


def test_acquire_makes_a_removed_lock_file_again(folder: Path) -> None:
    held = acquire(ONE, folder=folder)
    threading.Timer(0.2, held.release).start()
    threading.Timer(0.1, (folder / f"hil-board-{ONE}.lock").unlink).start()

    with acquire(ONE, wait_s=SOON_S, folder=folder), pytest.raises(BoardBusyError):
        acquire(ONE, folder=folder)


def test_wait_notices_a_lock_file_that_was_made_again(folder: Path) -> None:
    first = acquire(ONE, folder=folder)
    wait = _Wait(folder, [[ONE]], Holder.here(), None)
    try:
        assert wait._try() is None
        assert wait._wait_for_change(0)
        first.lock.path.unlink()
        other = LockFile(first.lock.path)
        assert other.try_lock()
        first.release()
        assert wait._try() is None  # opens the new file
        assert wait._wait_for_change(0)

        other.release()

        assert wait._wait_for_change(SOON_S)
    finally:
        wait.close()


def test_lease_that_is_interrupted_leaves_its_board_free(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_content: bytes, _serial: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hil.lab.locks.lease.end_borrowers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            acquire(ONE, folder=folder)

    acquire(ONE, folder=folder).release()


def test_acquire_rejects_no_boards(folder: Path) -> None:
    with pytest.raises(UsageError, match="no board"):
        acquire(folder=folder)


def test_acquire_rejects_too_many_boards(folder: Path) -> None:
    with pytest.raises(UsageError, match="too many"):
        acquire(*(f"{number:08x}" for number in range(1000)), folder=folder)


def test_lease_leaves_no_descriptor_open(folder: Path) -> None:
    acquire(ONE, folder=folder).release()
    before = open_descriptors()
    first = acquire(ONE, folder=folder)
    with pytest.raises(BoardBusyError):
        acquire(ONE, wait_s=0.1, folder=folder)
    first.release()

    assert open_descriptors() == before


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_lease_is_exclusive_over_2000_turns_of_8_processes(folder: Path) -> None:
    command = [sys.executable, "-c", TURNS, str(HIL), str(folder), "250"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(8)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    outcomes = [json.loads(process.communicate("\n")[0]) for process in _told(processes)]

    assert [outcome["turns"] for outcome in outcomes] == [250] * 8
    assert all(outcome["after"][:2] == outcome["before"][:2] for outcome in outcomes)
    assert all(outcome["after"][2] - outcome["before"][2] < 2048 for outcome in outcomes)
    assert {path.name for path in folder.iterdir()} == {f"hil-board-{ONE}.lock", QUEUE_NAME}
    assert (folder / QUEUE_NAME).stat().st_size <= 8 * SLOT_BYTES


def _told(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return processes
