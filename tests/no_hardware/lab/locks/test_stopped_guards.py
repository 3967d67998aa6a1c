"""A stopped guard: it is replaced while its holder lives, and killed for the next holder after that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.errors import BoardBusyError
from hil.lab.guard import child
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.locks.stopped_guards import continue_guards_of
from hil.lab.safe_state.attempt import make_safe_and_record
from hil.lab.safe_state.record import read_record
from hil.suite.xdist.channel import ControllerChannel
from tests.support.other_user import VICTIM, as_user, folder_for_everybody, only_root
from tests.support.programs import has_ended, program, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.lab.safe_state.policy import Safety

SERIAL = "5a1c0e01"
SOON_S = 60.0

RUN = program(__file__, "stopped_guards_run")

WORKER = f"""
import sys
from hil.suite.xdist.worker_channel import WorkerChannel
channel = WorkerChannel(sys.argv[2], "gw0", lambda: None)
{RUN}
"""


class Run:
    """A process that holds the board and does not notice that its guard is stopped."""

    def __init__(self, folder: Path, source: str = RUN, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, folder, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.guard = int(self.process.stdout.readline())
        os.kill(self.guard, signal.SIGSTOP)
        assert until(lambda: state_of(self.guard) == "T", SOON_S)

    def kill(self) -> None:
        """Kill it as the out-of-memory killer does."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        """Kill what is left of it."""
        self.kill()
        if state_of(self.guard) == "T":
            os.kill(self.guard, signal.SIGKILL)


@pytest.fixture
def run(board: Path) -> Iterator[Run]:
    run = Run(board.parent)
    yield run
    run.end()


def test_guard_that_is_stopped_is_replaced_while_its_holder_lives(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LOOK_EVERY_S", 0.05, raising=False)
    lease = under_guard(acquire(SERIAL, folder=board.parent), safety)
    assert lease.guard is not None
    stopped = lease.guard.wait_until_ready()
    assert stopped

    os.kill(stopped, signal.SIGSTOP)

    assert until(lambda: has_ended(stopped), SOON_S)
    assert lease.guard.wait_until_ready() != stopped
    with pytest.raises(BoardBusyError):
        acquire(SERIAL, folder=board.parent)
    lease.abandon()
    assert until(lambda: board.read_text() == "off", SOON_S)


def test_stopped_guard_that_continues_makes_the_board_of_its_dead_holder_safe(run: Run, board: Path) -> None:
    run.kill()

    continue_guards_of(run.process.pid)

    assert until(lambda: board.read_text() == "off", SOON_S)


def test_controller_continues_the_stopped_guard_of_a_killed_worker(board: Path) -> None:
    channel = ControllerChannel()
    run = Run(board.parent, WORKER, str(channel.path))
    try:
        run.kill()

        assert until(lambda: board.read_text() == "off", SOON_S)
    finally:
        run.end()
        channel.close()


def test_next_holder_kills_the_stopped_guard_of_a_dead_holder_and_makes_the_board_safe(
    run: Run, board: Path, safety: Safety
) -> None:
    run.kill()

    with under_guard(acquire(SERIAL, folder=board.parent), safety) as lease:
        assert board.read_text() == "off"
        assert f"its guard (pid {run.guard}) was stopped, and was killed" in str(lease.made_safe)
    assert has_ended(run.guard)


def test_hil_safe_kills_the_stopped_guard_of_a_dead_holder(run: Run, board: Path, safety: Safety) -> None:
    run.kill()

    with acquire(SERIAL, folder=board.parent) as lease:
        event = make_safe_and_record(lease.lock.path.parent, lease.serial, safety, lease=lease)

    assert board.read_text() == "off"
    assert f"its guard (pid {run.guard}) was stopped, and was killed" in str(event)
    assert not read_record(board.parent, SERIAL).needs_safety


def test_waiting_process_gets_the_board_of_a_holder_that_dies_after_its_guard_was_stopped(
    run: Run, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.locks.acquire.GUARDS_EVERY_S", 0.05, raising=False)

    acquire(SERIAL, wait_s=SOON_S, on_wait=lambda _news: run.kill(), folder=board.parent).release()

    assert has_ended(run.guard)


def test_stopped_guard_of_a_living_holder_is_left_to_its_holder(run: Run, board: Path) -> None:
    with pytest.raises(BoardBusyError, match=str(run.process.pid)):
        acquire(SERIAL, folder=board.parent)

    assert state_of(run.guard) == "T"


@only_root
def test_stopped_guard_that_may_not_be_killed_is_named_with_what_to_type() -> None:
    with folder_for_everybody() as folder:
        run = Run(folder)
        run.kill()
        try:
            with pytest.raises(BoardBusyError) as caught:
                as_user(VICTIM, lambda: acquire(SERIAL, folder=folder))
        finally:
            os.kill(run.guard, signal.SIGKILL)

    assert f"its guard (pid {run.guard}, uid 0) was stopped" in caught.value.why
    assert f"kill -KILL {run.guard}" in caught.value.remedy
