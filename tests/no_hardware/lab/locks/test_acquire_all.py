"""Acquiring several boards at once: all or none, first come, first served, and no two wait for each other."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.errors import BoardBusyError, UsageError
from hil.lab.locks import lock_file, tickets
from hil.lab.locks.acquire import _Wait, acquire, acquire_all
from hil.lab.locks.choice import choose
from hil.lab.locks.holder import Holder
from hil.lab.locks.lock_file import LockFile
from hil.lab.locks.tickets import waiting_tickets
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE, TWO, THREE = BOARDS = "5a1c0e01", "5a1c0e02", "5a1c0e03"
SOON_S = 60.0
HIL = Path(lock_file.__file__).parents[2]
MOST_USERS = 6
STEPS = 60

USER = program(__file__, "acquire_all_user")
CROWD = program(__file__, "acquire_all_crowd")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hil-test-") as name:
        yield Path(name)


def is_free(folder: Path, serial: str) -> bool:
    lock = LockFile(lock_file.lock_path(folder, serial))
    try:
        return lock.try_lock()
    finally:
        lock.close()


@pytest.mark.parametrize(
    ("choices", "usable", "chosen"),
    [
        ([[ONE], [TWO]], [ONE, TWO], [ONE, TWO]),
        ([[ONE, TWO], [ONE]], [ONE, TWO], [TWO, ONE]),
        ([[ONE, TWO], [ONE, TWO]], [ONE], None),
        ([[ONE, TWO, THREE]] * 2, [THREE, TWO], [TWO, THREE]),
    ],
)
def test_choose_finds_different_boards(
    choices: list[list[str]], usable: list[str], chosen: list[str] | None
) -> None:
    assert choose(choices, usable) == chosen


def test_acquire_all_takes_a_board_for_each_choice(folder: Path) -> None:
    leases = acquire_all([[ONE, TWO], [ONE]], folder=folder)

    assert [one.serial for one in leases] == [TWO, ONE]
    assert not is_free(folder, ONE)
    for one in leases:
        one.release()


def test_acquire_all_takes_none_if_one_is_in_use(folder: Path) -> None:
    with acquire(TWO, folder=folder, test="other"):
        with pytest.raises(BoardBusyError, match=f"board {TWO} is in use, and 2 boards are needed at once"):
            acquire_all([[ONE], [TWO]], folder=folder)

        assert is_free(folder, ONE)


def test_acquire_all_holds_none_while_it_waits(folder: Path) -> None:
    held = acquire(TWO, folder=folder)
    free: list[bool] = []

    def look(_status: object) -> None:
        free.append(is_free(folder, ONE))
        threading.Timer(0.1, held.release).start()

    leases = acquire_all([[ONE], [TWO]], wait_s=SOON_S, on_wait=look, folder=folder)

    assert free[0]
    assert len(leases) == 2
    for one in leases:
        one.release()


def test_acquire_all_waits_on_in_one_wait(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.lab.locks.acquire.LOOK_AGAIN_S", 0.1)
    places: list[int] = []
    told: list[object] = []

    def waits_on() -> bool:
        places.extend(ticket.number for ticket in waiting_tickets(folder))
        return len(places) < 3

    with acquire(ONE, folder=folder), pytest.raises(BoardBusyError, match=r"waited ([1-9]|0\.[2-9])"):
        acquire_all([[ONE]], waits_on=waits_on, on_wait=told.append, folder=folder)

    assert (len(places), len(set(places)), len(told)) == (3, 1, 1)


def test_acquire_all_rejects_fewer_boards_than_choices(folder: Path) -> None:
    with pytest.raises(UsageError, match="fewer serial numbers"):
        acquire_all([[ONE], [ONE]], folder=folder)


def test_acquire_all_releases_the_first_board_if_the_second_lease_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []

    def fail_second(content: bytes, _serial: str) -> None:
        calls.append(content)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("hil.lab.locks.lease.end_borrowers", fail_second)
    with pytest.raises(KeyboardInterrupt):
        acquire_all([[ONE], [TWO]], folder=folder)

    assert is_free(folder, ONE)
    assert is_free(folder, TWO)
    assert waiting_tickets(folder) == []


def test_acquire_all_keeps_the_name_of_a_killed_holder_if_the_second_lease_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = acquire(ONE, folder=folder)
    killed.lock.close()

    def fail(_content: bytes, serial: str) -> None:
        if serial == TWO:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hil.lab.locks.lease.end_borrowers", fail)
        with pytest.raises(KeyboardInterrupt):
            acquire_all([[ONE], [TWO]], folder=folder)

    with acquire(ONE, folder=folder) as lease:
        assert lease.killed_holder == killed.holder


@contextmanager
def both_and_later(folder: Path) -> Iterator[tuple[_Wait, _Wait]]:
    """A waiter for both boards, and a later one for ONE, which watches the files from now on."""
    both, later = (
        _Wait(folder, [[ONE], [TWO]], Holder.here(), None),
        _Wait(folder, [[ONE]], Holder.here(), None),
    )
    try:
        later._wait_for_change(0)
        yield both, later
    finally:
        both.close()
        later.close()


def wait_until_free_for_long(later: _Wait) -> None:
    """Wait until ONE was free for longer than SKIP_AFTER_S, 0.2 s here."""
    while later._wait_for_change(0.25):
        pass


def test_acquire_all_is_not_overtaken_while_one_of_its_boards_is_free(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.locks.first_in_line.SKIP_AFTER_S", 0.2)
    monkeypatch.setattr(tickets, "SHOW_ALIVE_NS", 0)
    held = acquire(TWO, folder=folder)
    with both_and_later(folder) as (both, later):
        tries = [later._try()]
        wait_until_free_for_long(later)
        both._queue.show_alive()
        tries.append(later._try())

        assert tries == [None, None]
        held.release()
        assert both._try() == [ONE, TWO]


def test_acquire_all_is_skipped_if_it_was_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.lab.locks.first_in_line.SKIP_AFTER_S", 0.2)
    with acquire(TWO, folder=folder):
        stopped = _Wait(folder, [[ONE], [TWO]], Holder.here(), None)

        with acquire(ONE, wait_s=SOON_S, folder=folder):
            stopped.close()


def test_acquire_all_is_skipped_as_soon_as_it_shows_no_life_if_its_board_was_free_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.locks.first_in_line.SKIP_AFTER_S", 0.2)
    with both_and_later(folder) as (_both, later):
        tries = [later._try()]
        wait_until_free_for_long(later)
        tries.append(later._try())

        assert tries == [None, [ONE]]


@dataclass(eq=False)
class User:
    """A user of the model: waits until it has its boards, holds them, and releases them."""

    wait: _Wait
    choices: list[list[str]]
    has: tuple[str, ...] = ()

    @property
    def wants(self) -> set[str]:
        return {serial for some in self.choices for serial in some}

    def leave(self) -> None:
        for serial in self.has:
            self.wait.locks[serial].unlock()
        self.wait.close()


class Lab:
    """Users with random wishes, and what must hold after each of their steps, worked out by brute force."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)  # noqa: S311 - repeatable
        self.waiting: list[User] = []  # in the order in which they came
        self.holding: list[User] = []

    def join(self) -> None:
        needs = self.chance.randint(1, 3)
        some = [self.chance.sample(BOARDS, self.chance.randint(1, 3)) for _ in range(needs)]
        if choose(some, BOARDS) is not None:
            self.waiting.append(User(_Wait(self.folder, some, Holder.here(), None), some))

    def attempt(self, user: User) -> None:
        ahead = self.waiting[: self.waiting.index(user)]
        promised = {serial for other in ahead for serial in other.wants}
        held = {serial for other in self.holding for serial in other.has}
        possible = any(
            len(set(some)) == len(some) and promised.union(held).isdisjoint(some)
            for some in itertools.product(*user.choices)
        )

        got = user.wait._try()

        assert (got is not None) == possible
        if got is None:
            assert [one for one in BOARDS if not is_free(self.folder, one)] == sorted(held)
            return
        assert all(serial in some for serial, some in zip(got, user.choices, strict=True))
        assert promised.union(held).isdisjoint(got)
        user.has = tuple(got)
        user.wait._queue.close()
        self.waiting.remove(user)
        self.holding.append(user)

    def step(self) -> None:
        action = self.chance.choice(["join", "attempt", "attempt", "release", "give up"])
        if action == "join" and len(self.waiting) < MOST_USERS:
            self.join()
        elif action == "attempt" and self.waiting:
            self.attempt(self.chance.choice(self.waiting))
        elif action == "release" and self.holding:
            self.holding.pop(self.chance.randrange(len(self.holding))).leave()
        elif action == "give up" and self.waiting and self.chance.random() < 0.2:
            self.waiting.pop(self.chance.randrange(len(self.waiting))).leave()

    def end(self) -> None:
        """Let all holders release and all waiters try, in any order: each round must serve the first."""
        while self.waiting:
            first = self.waiting[0]
            while self.holding:
                self.holding.pop().leave()
            for user in self.chance.sample(self.waiting, len(self.waiting)):
                self.attempt(user)
            assert first not in self.waiting
        while self.holding:
            self.holding.pop().leave()


def run_model(folder: Path, seeds: range) -> None:
    for seed in seeds:
        model = Lab(folder, seed)
        try:
            for _ in range(STEPS):
                model.step()
            model.end()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        finally:
            for user in (*model.waiting, *model.holding):
                user.leave()


def test_acquire_all_serves_random_wishes_in_order(folder: Path) -> None:
    run_model(folder, range(50))


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_acquire_all_serves_random_wishes_in_order_for_a_thousand_seeds(folder: Path) -> None:
    run_model(folder, range(50, 1050))


@pytest.mark.timeout(300)
def test_acquire_all_ends_no_process_in_a_deadlock(folder: Path) -> None:
    words = [str(HIL), str(folder), "12"]
    users = [
        subprocess.Popen(
            [sys.executable, "-c", USER, *words, str(seed), json.dumps(BOARDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(6)
    ]
    try:
        for user in users:
            assert user.stdin is not None
            user.stdin.write("\n")
            user.stdin.flush()
        served = [json.loads(user.communicate(timeout=240)[0]) for user in users]
    finally:
        for user in users:
            user.kill()

    assert [len(turns) for turns in served] == [12] * 6
    assert {needs for turns in served for needs in turns} == {1, 2, 3}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("boards", [BOARDS[:1], BOARDS[:2], BOARDS])
def test_acquire_all_serves_all_users_although_some_are_killed_and_stopped(
    folder: Path, boards: tuple[str, ...]
) -> None:
    words = [str(HIL), str(folder), ",".join(boards), str(len(boards))]
    crowd = subprocess.run(
        [sys.executable, "-c", CROWD, *words], capture_output=True, check=True, timeout=280
    )

    became = json.loads(crowd.stdout)
    assert became["failed"] == 0, crowd.stderr.decode()
    assert became["ended"] + became["killed"] == 16
    assert min(became["killed"], became["stopped"]) > 0
    assert _shared_boards(folder / "log") == []
    assert waiting_tickets(folder) == []
    assert all(is_free(folder, serial) for serial in boards)


def _shared_boards(log: Path) -> list[str]:
    """Return the lines of users that got a board which another user had."""
    holders: dict[str, int] = {}
    killed: set[int] = set()
    shared = []
    for line in log.read_text().splitlines():
        what, pid, *serials = json.loads(line)
        if what == "killed":
            killed.add(pid)
            holders = {serial: one for serial, one in holders.items() if one != pid}
        elif pid not in killed and what == "got":
            shared += [line] * any(serial in holders for serial in serials)
            holders |= dict.fromkeys(serials, pid)
        elif pid not in killed:
            for serial in serials:
                holders.pop(serial)
    return shared
