"""When a meter can be believed, also while the wall clock is set."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.power.reading import SETTLE_S
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lease import last_used_s, note_use
from hil.lab.locks.lock_file import lock_path
from hil.lab.safe_state import meter_settling
from hil.lab.safe_state.meter_settling import wait_until_settled

if TYPE_CHECKING:
    from pathlib import Path

SERIAL = "5a1c0e01"
HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(meter_settling, "sleep", waits.append)
    return waits


def test_wait_until_settled_waits_for_a_board_that_was_just_released(waits: list[float]) -> None:
    acquire(SERIAL).release()

    wait_until_settled(last_used_s(SERIAL))
    assert waits == [pytest.approx(SETTLE_S, abs=60.0)]


def test_wait_until_settled_waits_for_no_board_that_was_never_used(waits: list[float]) -> None:
    wait_until_settled(last_used_s(SERIAL))

    assert waits[0] <= 0


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S])
def test_wait_until_settled_is_short_though_the_clock_jumps(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    acquire(SERIAL).release()
    used_s, now = last_used_s(SERIAL), time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump_s)

    wait_until_settled(used_s)
    assert waits == [pytest.approx(SETTLE_S, abs=60.0)]


def test_last_used_s_takes_a_use_in_the_future_for_one_of_just_now(folder: Path) -> None:
    acquire(SERIAL).release()
    future_s = time.time() + HOUR_S
    os.utime(lock_path(folder, SERIAL), (future_s, future_s))

    assert last_used_s(SERIAL) == pytest.approx(time.monotonic(), abs=60.0)


def test_a_lease_that_leaves_its_board_untouched_is_no_use(folder: Path) -> None:
    acquire(SERIAL).release()
    os.utime(lock_path(folder, SERIAL), (HOUR_S, HOUR_S))

    acquire(SERIAL).release_untouched()
    assert lock_path(folder, SERIAL).stat().st_mtime == HOUR_S


def test_note_use_counts_now_as_a_use(folder: Path) -> None:
    acquire(SERIAL).release()
    os.utime(lock_path(folder, SERIAL), (HOUR_S, HOUR_S))

    note_use(SERIAL)
    assert last_used_s(SERIAL) == pytest.approx(time.monotonic(), abs=60.0)
