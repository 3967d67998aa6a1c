"""Boards chosen by tag, serial number or name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.requirements import BoardInfo, BoardRequirement, matching_serials, split_tags
from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]

TAGGED = """
import pytest

@pytest.mark.hardware(tags="jetson, nvme")
def test_wants_tags(dutlink):
    assert "jetson" in dutlink.settings.read().tags
"""


@pytest.fixture
def run(run_on_simulator: RunSuite) -> RunSuite:
    """Runs a suite on the simulated host."""
    return run_on_simulator


def test_requirement_without_words_fits_every_board() -> None:
    assert BoardRequirement().fits(BoardInfo("5a1c0e01"))
    assert BoardRequirement().is_any


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        (BoardRequirement(frozenset({"jetson"})), True),
        (BoardRequirement(frozenset({"jetson", "nvme"})), True),
        (BoardRequirement(frozenset({"pi"})), False),
        (BoardRequirement(board="5a1c0e01"), True),
        (BoardRequirement(board="orin"), True),
        (BoardRequirement(board="other"), False),
        (BoardRequirement(frozenset({"jetson"}), "other"), False),
    ],
)
def test_requirement_is_tags_and_a_serial_number_or_a_name(requirement: BoardRequirement, fits: bool) -> None:
    info = BoardInfo("5a1c0e01", "orin", frozenset({"jetson", "nvme"}))

    assert matching_serials(requirement, [info]) == (frozenset({"5a1c0e01"}) if fits else frozenset())


def test_requirement_of_none_matches_no_board() -> None:
    assert matching_serials(None, [BoardInfo("5a1c0e01")]) == frozenset()


@pytest.mark.parametrize("tags", ["jetson nvme", "jetson,nvme", " jetson, nvme ", ["jetson", "nvme"]])
def test_tags_are_split_at_commas_and_white_space(tags: str | list[str]) -> None:
    assert split_tags(tags) == ["jetson", "nvme"]


@pytest.mark.thorough
def test_requirement_of_tags_gets_a_test_the_board_with_them(
    run: Any, simulator: SimulatorProcess, serial: str
) -> None:
    with open_driver(simulated_host(simulator.ready), serial) as board:
        board.settings.write(tags="jetson,nvme")

    assert run(TAGGED).outcomes["test_wants_tags"].result == "passed"


@pytest.mark.thorough
def test_requirement_that_no_board_meets_is_named_in_the_error(run: Any) -> None:
    inner = run(TAGGED.replace("jetson, nvme", "unheard-of"))

    assert "no board has the tag unheard-of" in inner.text


@pytest.mark.thorough
def test_hil_board_restricts_a_run_to_one_board(run: Any, serial: str) -> None:
    inner = run("def test_reads(dutlink):\n    print(dutlink.serial)\n", "-s", "--hil-board", serial)

    assert inner.outcomes["test_reads"].result == "passed"
    assert serial in inner.text


@pytest.mark.thorough
def test_hil_board_takes_the_name_of_a_simulated_board(run: Any, simulator: SimulatorProcess) -> None:
    inner = run("def test_reads(dutlink):\n    print(dutlink.serial)\n", "-s", "--hil-board", "sim-1")

    assert inner.outcomes["test_reads"].result == "passed"
    assert simulator.serials()[0] in inner.text


def test_board_info_shows_control_characters_as_text() -> None:
    info = BoardInfo("5a1c0e01", "\x1b]0;evil\x07", frozenset({"\x1b[2Jx"}))

    assert str(info) == r"5a1c0e01 (\x1b]0;evil\x07; x)"
