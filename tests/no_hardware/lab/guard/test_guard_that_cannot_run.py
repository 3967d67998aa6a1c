"""A guard that cannot run: it is noticed before the board is handed out, or during its use."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.timing import until
from hil.errors import GuardError
from hil.lab.guard import child, guard, guarded_lease
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.attempt import try_make_safe
from hil.lab.safe_state.record import BoardState, SafetyEvent, read_record

if TYPE_CHECKING:
    from hil.lab.guard.guarded_lease import GuardedLease
    from hil.lab.safe_state.policy import Safety

SERIAL = "5a1c0e01"
SOON_S = 60.0


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board"
    path.write_text("off")
    return path


@pytest.fixture
def lease(board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch) -> GuardedLease:
    """A lease whose guard was killed while no other can be started."""
    lost = threading.Event()
    lease = under_guard(acquire(SERIAL, folder=board.parent), safety)
    board.write_text("on")
    assert lease.guard is not None
    pid = lease.guard.wait_until_ready()
    assert pid is not None
    lease.on_guard_lost = lambda _error: lost.set()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    os.kill(pid, signal.SIGKILL)
    assert lost.wait(SOON_S)
    return lease


def interpreter(folder: Path, script: str) -> str:
    program = folder / "interpreter"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 1", "status 1"),
        ("echo no encodings >&2; exit 1", "no encodings"),
        ("exec sleep 60", "did not start within"),
        ("sleep 60 & exit 0", "did not start within"),
    ],
)
def test_guard_that_does_not_start_hands_out_no_board(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    monkeypatch.setattr(child, "READY_S", 0.1)
    monkeypatch.setattr(sys, "executable", interpreter(board.parent, script))

    with pytest.raises(GuardError, match=why) as raised:
        under_guard(acquire(SERIAL, folder=board.parent), safety)

    assert raised.value.remedy
    acquire(SERIAL, folder=board.parent).release()
    assert read_record(board.parent, SERIAL).state is BoardState.UNKNOWN


def test_guard_that_finds_no_hil_hands_out_no_board(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_python_path", lambda: "/no/such/folder")

    with pytest.raises(GuardError, match="module hil is not found"):
        under_guard(acquire(SERIAL, folder=board.parent), safety)


def test_guard_finds_hil_where_only_an_import_hook_finds_it(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(guard.__file__).parents[2]
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).absolute() != here])

    under_guard(acquire(SERIAL, folder=board.parent), safety).release()


def test_guard_that_cannot_run_leaves_an_unsafe_board_on_record(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = under_guard(acquire(SERIAL, folder=board.parent), safety)
    board.unlink()
    lease.abandon()
    acquire(SERIAL, wait_s=SOON_S, folder=board.parent).release()
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(GuardError):
        under_guard(acquire(SERIAL, folder=board.parent), safety)

    assert read_record(board.parent, SERIAL).state is BoardState.UNSAFE


def test_guard_that_cannot_be_replaced_ends_the_use_of_its_board(lease: GuardedLease, board: Path) -> None:
    assert until(lambda: board.read_text() == "off", SOON_S)
    assert until(lambda: bool(read_record(board.parent, SERIAL).events), SOON_S)  # after "off" was written
    record = read_record(board.parent, SERIAL)
    assert (record.state, record.events[-1].by) == (BoardState.IN_USE, "its holder")

    with pytest.raises(GuardError, match="no guard runs"):
        lease.release()
    acquire(SERIAL, folder=board.parent).release()
    assert read_record(board.parent, SERIAL).state is BoardState.SAFE


def test_guard_that_cannot_be_replaced_leaves_an_abandoned_board_to_its_holder(
    lease: GuardedLease, board: Path
) -> None:
    assert until(lambda: board.read_text() == "off", SOON_S)
    board.write_text("on again")

    lease.abandon()

    assert board.read_text() == "off"
    acquire(SERIAL, folder=board.parent).release()
    assert read_record(board.parent, SERIAL).state is BoardState.SAFE


def test_release_waits_until_its_holder_has_made_safe_a_board_that_lost_its_guard(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = under_guard(acquire(SERIAL, folder=board.parent), safety)
    given_back: list[bool] = []

    def attempt_while_the_holder_releases(*arguments: Any, **options: Any) -> SafetyEvent:
        releasing.start()
        releasing.join(0.5)
        given_back.append(not releasing.is_alive())
        return try_make_safe(*arguments, **options)

    def release() -> None:
        with suppress(GuardError):
            lease.release()

    releasing = threading.Thread(target=release)
    monkeypatch.setattr(guarded_lease, "try_make_safe", attempt_while_the_holder_releases)

    lease.handle_guard_loss(GuardError("no guard", serial=SERIAL))
    releasing.join(SOON_S)

    assert given_back == [False]
    acquire(SERIAL, folder=board.parent).release()
    assert read_record(board.parent, SERIAL).state is BoardState.SAFE


def test_guard_that_cannot_be_replaced_leaves_a_safe_board_though_its_use_cannot_be_ended(
    board: Path, safety: Safety
) -> None:
    lease = under_guard(acquire(SERIAL, folder=board.parent), safety)
    board.write_text("on")

    def fail(_error: GuardError) -> None:
        raise ZeroDivisionError

    lease.on_guard_lost = fail
    with pytest.raises(ZeroDivisionError):
        lease.handle_guard_loss(GuardError("no guard", serial=SERIAL))

    assert board.read_text() == "off"
    with pytest.raises(GuardError):
        lease.release()


def test_guard_that_is_interrupted_before_it_replaces_another_ends(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def interrupted(guard: guard.Guard) -> None:
        pid = guard.wait_until_ready()
        assert pid is not None
        started.append(os.pidfd_open(pid))
        raise KeyboardInterrupt

    with under_guard(acquire(SERIAL, folder=board.parent), safety) as lease:
        (board.parent / f"hil-board-{SERIAL}.lock").unlink()
        before = lease.guard
        monkeypatch.setattr(guard.Guard, "require", interrupted)

        with pytest.raises(KeyboardInterrupt):
            lease.set_test("t.py::test_1")

        assert select.select(started, [], [], SOON_S)[0] == started
        assert lease.guard is before
    os.close(started[0])


def test_guard_that_is_killed_again_and_again_is_replaced(board: Path, safety: Safety) -> None:
    with under_guard(acquire(SERIAL, folder=board.parent), safety) as lease:
        seen = [killed(lease) for _ in range(4)]
        assert lease.guard is not None
        assert lease.guard.wait_until_ready()
        assert lease.guard_error is None

    assert len(set(seen)) == len(seen)


def killed(lease: GuardedLease) -> int:
    """Kill the guard, and return its pid once it is noticed."""
    assert lease.guard is not None
    pid = lease.guard.wait_until_ready()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: lease.guard and lease.guard.wait_until_ready(0) != pid, SOON_S)
    return pid
