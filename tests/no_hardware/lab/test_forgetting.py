"""Boards that never come back leave no files where all leases meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.waiting import until
from hil.lab.board_record import BoardRecord, write_record
from hil.lab.forgetting import forget_boards
from hil.lab.lease import hold
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from pathlib import Path

SERIAL, OTHER = "5a1c0e01", "0df10035"


def files_of_boards(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("hil-board-*"))


def use(folder: Path, serial: str) -> None:
    with hold(serial, folder=folder):
        write_record(folder, serial, BoardRecord())


def test_lock_and_record_go_and_those_of_other_boards_stay(tmp_path: Path) -> None:
    use(tmp_path, SERIAL)
    use(tmp_path, OTHER)

    forget_boards([SERIAL], tmp_path)

    assert files_of_boards(tmp_path) == [f"hil-board-{OTHER}.json", f"hil-board-{OTHER}.lock"]


def test_a_board_that_somebody_holds_keeps_its_files(tmp_path: Path) -> None:
    use(tmp_path, SERIAL)

    with hold(SERIAL, folder=tmp_path):
        forget_boards([SERIAL], tmp_path)

    assert len(files_of_boards(tmp_path)) == 2


def test_a_board_that_was_never_held_is_no_error(tmp_path: Path) -> None:
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

    assert until(lambda: bool(files_of_boards(locks)) == keeps_state, 5)
