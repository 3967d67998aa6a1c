"""The lock of a host is released once, whichever threads release it."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.storage import host_lock
from hil.dutlink.storage.host_lock import HostLock, SearchLocks
from hil.errors import StorageError
from hil.forked_child import OwnDescriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FakeTimer:
    """A timer that rings when the test says so."""

    made: list[FakeTimer]

    def __init__(self, _limit_s: float, function: Callable[..., None], args: tuple[Any, ...] = ()) -> None:
        self._function, self._args = function, args
        self.daemon = False
        self.made.append(self)

    def start(self) -> None:
        """Do nothing: the test rings."""

    def cancel(self) -> None:
        """Do nothing: it has rung already."""

    def ring(self) -> None:
        self._function(*self._args)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[FakeTimer]:
    monkeypatch.setattr(FakeTimer, "made", [], raising=False)
    monkeypatch.setattr(host_lock.threading, "Timer", FakeTimer)
    return FakeTimer.made


class ReadTogether(HostLock):
    """A lock whose state two threads read before either of them changes it, if nothing keeps them apart."""

    together = threading.Barrier(1)

    @property
    def _folder(self) -> OwnDescriptors | None:
        folder = self.__dict__["folder"]
        with suppress(threading.BrokenBarrierError):
            self.together.wait(0.3)
        return folder  # type: ignore[no-any-return]

    @_folder.setter
    def _folder(self, folder: OwnDescriptors | None) -> None:
        self.__dict__["folder"] = folder


def test_release_by_two_threads_closes_the_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timers: list[FakeTimer]
) -> None:
    closed: list[OwnDescriptors] = []
    shared = ReadTogether(tmp_path, 1.0, "looks for its stick")
    shared.acquire()
    folder = shared.folder
    monkeypatch.setattr(OwnDescriptors, "close", lambda folder: closed.append(folder))  # noqa: PLW0108 - a method
    shared.together = threading.Barrier(2)
    other = threading.Thread(target=timers[0].ring)

    other.start()
    shared.release()
    other.join()

    assert closed.count(folder) == 1  # one of an earlier test may be collected in between
    monkeypatch.undo()
    for each in closed:
        each.close()


def test_timer_of_an_earlier_acquisition_does_not_release_the_next_one(
    tmp_path: Path, timers: list[FakeTimer]
) -> None:
    shared = HostLock(tmp_path, 1.0, "looks for its stick")
    shared.acquire()
    shared.acquire()

    timers[0].ring()

    assert shared.is_held
    timers[1].ring()
    assert not shared.is_held


def test_timer_that_rang_just_before_keep_does_not_release_the_lock(
    tmp_path: Path, timers: list[FakeTimer]
) -> None:
    shared = HostLock(tmp_path, 1.0, "looks for its stick")
    shared.acquire()

    assert shared.keep()
    timers[0].ring()  # its thread had passed `cancel`, and waited

    assert shared.is_held
    shared.release()


def test_keep_of_a_lock_that_has_ended_says_so(tmp_path: Path, timers: list[FakeTimer]) -> None:
    shared = HostLock(tmp_path, 1.0, "looks for its stick")
    shared.acquire()
    timers[0].ring()

    assert not shared.keep()


@pytest.mark.usefixtures("timers")
def test_alone_holds_both_locks_however_long_its_thread_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTimer, "start", FakeTimer.ring)  # the thread goes on after the time limit
    (tmp_path / "block").mkdir()
    locks = SearchLocks(tmp_path, tmp_path, 1.0)

    with locks.alone():
        assert (opened(tmp_path), opened(tmp_path / "block")) == (1, 1)

    locks.release()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_acquire_interrupted_while_it_waits_closes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken_by_another(tmp_path):
        monkeypatch.setattr(host_lock, "until", interrupt)
        waiting = HostLock(tmp_path, 1.0, "looks for its stick")

        with pytest.raises(KeyboardInterrupt):
            waiting.acquire()

    assert opened(tmp_path) == 0


@pytest.mark.parametrize("method", ["__init__", "start"])
def test_acquire_interrupted_after_it_locked_the_folder_unlocks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    interrupted = HostLock(tmp_path, 1.0, "looks for its stick")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Timer, method, interrupt)
        with pytest.raises(KeyboardInterrupt):
            interrupted.acquire()

    assert (interrupted.is_held, opened(tmp_path)) == (False, 0)


def test_acquire_that_waits_for_too_long_names_the_folder_and_the_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_lock, "_WAIT_LIMIT_S", 0.1)

    with taken_by_another(tmp_path), pytest.raises(StorageError) as caught:
        HostLock(tmp_path, 1.0, "turns its stick to the host").acquire()

    assert f"board turns its stick to the host, has kept {tmp_path} locked" in caught.value.what


@contextmanager
def taken_by_another(dev: Path) -> Iterator[None]:
    """Lock a device folder by another open file, as another process does."""
    folder = os.open(dev, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def opened(folder: Path) -> int:
    """Return how many descriptors of this process are of a folder."""
    links = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    return sum(os.path.realpath(link) == str(folder) for link in links)


class TwiceNotEmpty(list[int]):
    """Descriptors of which another thread takes the last one between the look and the pop."""

    def __bool__(self) -> bool:
        return True


def test_own_descriptors_close_while_another_thread_does() -> None:
    own = OwnDescriptors()
    own._descriptors = TwiceNotEmpty()

    own.close()

    assert own._descriptors == []
