"""A holder that cannot watch or replace its guard: a guard runs all the same, or the board is made safe."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

SOON_S = 60.0
HOLDER = program(__file__, "unwatched_guard_holder")
HINDRANCES = ("leak", "limit_0", "spoil_path", "spoil_executable", "spoil_start", "kill_guard")
ACTS = (*HINDRANCES, "free", "kill_guard", "request")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board"
    path.write_text("off")
    return path


def run_holder(board: Path, *acts: str) -> list[str]:
    """Let a process that holds the board do these acts and be killed; return what it printed."""
    command = [sys.executable, "-c", HOLDER, str(board.parent), *acts]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SOON_S)

    assert ran.returncode == -9, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize("hindrance", ["hard_limit_0", "limit_0", "leak"])
def test_guard_survives_a_holder_without_descriptors(board: Path, hindrance: str) -> None:
    assert run_holder(board, hindrance, "look", "look") == ["same", "same"]
    assert until(lambda: board.read_text() == "off", SOON_S)


@pytest.mark.parametrize("hindrance", ["limit_0", "leak", "spoil_path"])
def test_guard_is_replaced_in_a_holder_with_trouble(board: Path, hindrance: str) -> None:
    assert run_holder(board, hindrance, "kill_guard", "request", "look") == ["sent", "other"]
    assert until(lambda: board.read_text() == "off", SOON_S)


@pytest.mark.parametrize("fault", ["spoil_start", "spoil_listen", "spoil_executable"])
def test_guard_whose_watcher_fails_ends_the_use_of_its_board(board: Path, fault: str) -> None:
    assert run_holder(board, fault, "kill_guard", "request", "request", "await_off") == [
        "refused",
        "refused",
        "off",
    ]


def test_holder_without_a_guard_tries_until_its_board_is_safe(board: Path) -> None:
    said = run_holder(
        board, "trouble", "spoil_start", "kill_guard", "request", "await_try", "mend", "await_off"
    )

    assert said == ["refused", "off"]


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(4, 60))]
)
def test_no_death_of_a_hindered_holder_leaves_the_board_on(board: Path, seed: int) -> None:
    chosen = random.Random(seed)  # noqa: S311 - no secret
    acts = [chosen.choice(ACTS) for _ in range(chosen.randint(2, 7))]

    run_holder(board, *acts)

    assert until(lambda: board.read_text() == "off", SOON_S), acts
