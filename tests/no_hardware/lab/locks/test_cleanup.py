"""Boards that never come back leave no files in the lock folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.storage.stick_memory import LearnedSocket
from hil.dutlink.storage.usb_sockets import StickNames
from hil.dutlink.timing import until
from hil.lab.locks.acquire import acquire
from hil.lab.locks.cleanup import forget_boards
from hil.lab.locks.lock_dir import SYSTEM_FOLDERS, lock_folder
from hil.lab.safe_state.record import BoardRecord, write_record
from hil.lab.stick_sockets import StickSockets
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from pathlib import Path

SERIAL, OTHER = "5a1c0e01", "0df10035"
LEARNED = LearnedSocket("1-1", "2-1.3", StickNames("1209", "0001", "AB12", 1 << 20), 3.5)


def files_of_boards(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("hil-[bs][ot]*-*"))


def use(folder: Path, serial: str) -> None:
    with acquire(serial, folder=folder):
        write_record(folder, serial, BoardRecord())


def test_forget_boards_removes_lock_and_record_of_those_boards_only(tmp_path: Path) -> None:
    use(tmp_path, SERIAL)
    use(tmp_path, OTHER)

    forget_boards([SERIAL], tmp_path)

    assert files_of_boards(tmp_path) == [f"hil-board-{OTHER}.json", f"hil-board-{OTHER}.lock"]


def test_forget_boards_keeps_the_files_of_a_leased_board(tmp_path: Path) -> None:
    use(tmp_path, SERIAL)

    with acquire(SERIAL, folder=tmp_path):
        forget_boards([SERIAL], tmp_path)

    assert len(files_of_boards(tmp_path)) == 2


@pytest.mark.parametrize("was_held", [False, True])
def test_forget_boards_removes_what_was_learned_of_sticks(tmp_path: Path, was_held: bool) -> None:
    for serial in (SERIAL, OTHER):
        StickSockets(serial, tmp_path).keep(LEARNED)
    if was_held:
        use(tmp_path, SERIAL)

    forget_boards([SERIAL], tmp_path)

    assert files_of_boards(tmp_path) == [f"hil-stick-{OTHER}-{os.geteuid()}.json"]


def test_forget_boards_accepts_a_board_that_was_never_leased(tmp_path: Path) -> None:
    forget_boards([SERIAL], tmp_path / "nowhere")

    assert not files_of_boards(tmp_path)


@pytest.mark.parametrize("keeps_state", [False, True])
def test_simulated_boards_leave_files_only_if_they_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps_state: bool
) -> None:
    locks = tmp_path / "locks"
    monkeypatch.setenv("HIL_LOCK_DIR", str(locks))
    with SimulatorProcess(boards=1, state=tmp_path / "state" if keeps_state else None) as simulator:
        locks.mkdir(mode=0o700)
        use(locks, simulator.serials()[0])
        StickSockets(simulator.serials()[0], locks).keep(LEARNED)

    assert until(lambda: bool(files_of_boards(locks)) == keeps_state, 60)


def test_lock_folder_of_tests_is_not_the_machines_own() -> None:
    assert str(lock_folder()) not in SYSTEM_FOLDERS
