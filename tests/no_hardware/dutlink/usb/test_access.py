"""A board object drives its board until it is closed, in the process that opened it."""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.storage.host_lock import HostLock
from hil.dutlink.usb.access import Access
from hil.dutlink.wiring import Wiring
from hil.errors import LeaseEndedError
from tests.support.fake_tty import FakeTty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from tests.support.fake_bus import FakeBoard

AFTER = "test_x.py::test_y"
USES: dict[str, Callable[[Any], object]] = {
    "power on": lambda board: board.power.on(),
    "force-on": lambda board: board.power.force_on(),
    "meter": lambda board: board.power.read(),
    "pin": lambda board: board.pins.low("a"),
    "settings": lambda board: board.settings.read(),
    "setting": lambda board: board.settings.write(name="other"),
    "stick to host": lambda board: board.storage.host(),
    "stick to dut": lambda board: board.storage.dut(),
    "stick's node": lambda board: board.storage.wait_for_node(0.0),
    "claim": lambda board: board.storage.claim(to_write=True),
    "send": lambda board: board.console.send("x"),
    "expect": lambda board: board.console.expect("x", timeout_s=5),
    "open": lambda board: board.console.open(),
    "shell": lambda board: board.console.shell("status"),
    "make safe": lambda board: board.make_safe(),
}
each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


@pytest.fixture
def other_end() -> Iterator[FakeTty]:
    end = FakeTty()
    yield end
    end.unplug()


@pytest.fixture
def with_console(host: Host, fake: FakeBoard, other_end: FakeTty) -> Iterator[Board]:
    with open_driver(host, wiring=Wiring(console=other_end.path)) as board:
        assert board.console.is_open
        fake.requests.clear()
        yield board


@contextmanager
def forked() -> Iterator[int]:
    """A forked child that lives until the block ends."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"begun")
        signal.pause()
        os._exit(0)
    os.read(reading, 5)
    for descriptor in (reading, writing):
        os.close(descriptor)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def told_by_child(act: Callable[[], object]) -> str:
    """What an act raises in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            act()
            os.write(writing, b"nothing")
        except BaseException as error:  # noqa: BLE001 - a child must not fall into pytest
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, encoding="utf-8") as told:  # noqa: PTH123 - a descriptor
        return told.read()


class CountingLease:
    """The lease of another process, which counts the requests that share it."""

    def __init__(self) -> None:
        self.requests = 0

    def share(self, _serial: str) -> int:
        self.requests += 1
        return os.open(os.devnull, os.O_RDONLY)


def test_send_asks_for_the_lease_of_another_process_once_for_each_byte(with_console: Board) -> None:
    lease: Any = CountingLease()
    with_console.access.lease = lease

    with_console.console.send("hello", pace_s=0.001)

    assert lease.requests == 1 + len("hello")  # when the console is looked up, and for each byte


@each_use
def test_closed_board_refuses_every_use(
    with_console: Board, fake: FakeBoard, use: Callable[[Board], object]
) -> None:
    with_console.close()

    with pytest.raises(LeaseEndedError, match=r"board 5a1c0e01 was closed at \d\d:\d\d:\d\d"):
        use(with_console)

    assert fake.requests == []


@each_use
def test_ended_board_refuses_other_threads_and_says_why(
    with_console: Board, fake: FakeBoard, use: Callable[[Board], object]
) -> None:
    with_console.access.end("was given back", after=AFTER, why="the next test wants another board")
    told: list[LeaseEndedError] = []

    def left_behind() -> None:
        with pytest.raises(LeaseEndedError) as caught:
            use(with_console)
        told.append(caught.value)

    thread = threading.Thread(target=left_behind)
    thread.start()
    thread.join()

    (error,) = told
    assert (fake.requests, error.serial) == ([], "5a1c0e01")
    assert f"was given back at {error.what.split(' at ')[1][:8]}, after {AFTER}" in error.what
    assert "the next test wants another board" in str(error)
    assert "ask for the fixture again" in error.remedy


def test_ended_board_can_be_made_safe_by_the_thread_that_ended_it(board: Board, fake: FakeBoard) -> None:
    board.access.end("was given back")

    board.make_safe()

    assert len(fake.done) > 2
    board.close()
    with pytest.raises(LeaseEndedError, match="was given back"):
        board.make_safe()


def test_noun_kept_alone_is_refused(board: Board, fake: FakeBoard) -> None:
    power = board.power
    board.close()

    with pytest.raises(LeaseEndedError):
        power.force_on()

    assert fake.requests == []


def test_expect_that_waits_while_the_lease_ends_says_that_it_ended(with_console: Board) -> None:
    told: list[BaseException] = []
    waits = threading.Event()

    def left_behind() -> None:
        waits.set()
        try:
            with_console.console.expect("never", timeout_s=30)
        except BaseException as error:  # noqa: BLE001 - judged below
            told.append(error)

    thread = threading.Thread(target=left_behind)
    thread.start()
    waits.wait()
    with_console.close()
    thread.join()

    assert [type(error) for error in told] == [LeaseEndedError]


def test_end_waits_for_a_request_that_is_on_its_way(board: Board, fake: FakeBoard) -> None:
    began, may_end = threading.Event(), threading.Event()
    ended: list[str] = []

    def slow(*_: object) -> None:
        began.set()
        may_end.wait(60)
        ended.append("request")

    fake.on_request = slow
    thread = threading.Thread(target=board.power.force_on)
    thread.start()
    began.wait()
    threading.Timer(0.1, may_end.set).start()

    board.access.end()

    assert ended == ["request"]
    fake.on_request = None
    thread.join()


def test_open_stick_is_not_written_after_the_end() -> None:
    access = Access("5a1c0e01")
    with access:
        pass
    access.end("was given back")
    access.finish()

    with pytest.raises(LeaseEndedError, match="was given back"), access:
        pytest.fail("a piece was written")


def test_first_reason_of_an_end_is_the_one_told(board: Board) -> None:
    board.access.end("was given back", after=AFTER)
    board.close()

    with pytest.raises(LeaseEndedError, match=f"given back at .*, after {AFTER}"):
        board.power.read()


def test_lease_ended_error_survives_pickling(board: Board) -> None:
    board.close()
    with pytest.raises(LeaseEndedError) as caught:
        board.power.read()

    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own


@each_use
def test_forked_child_is_refused_every_use(with_console: Board, use: Callable[[Board], object]) -> None:
    told = told_by_child(lambda: use(with_console))

    assert told.startswith("LeaseEndedError: board 5a1c0e01 was opened by process")


def test_forked_child_that_closes_the_board_leaves_it_to_its_parent(
    with_console: Board, other_end: FakeTty
) -> None:
    assert told_by_child(with_console.close) == "nothing"

    with_console.power.force_on()
    other_end.say(b"still here")
    assert with_console.console.expect("still here", timeout_s=10)
    with pytest.raises(BlockingIOError):
        lock_tty(other_end.path)


def test_forked_child_does_not_keep_the_tty_locked(with_console: Board, other_end: FakeTty) -> None:
    with forked():
        with_console.close()

        lock_tty(other_end.path)


def test_forked_child_does_not_keep_the_learning_lock(board: Board, dev: Path) -> None:
    board.storage.host()
    with forked():
        board.storage.off()

        lock = HostLock(dev, 1.0, "looks for its stick")
        lock.acquire()
        lock.release()


def lock_tty(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
