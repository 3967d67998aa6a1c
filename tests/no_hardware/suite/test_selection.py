"""Markers and fixtures decide which tests use a board, and -m selects by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import RunSuite

pytest_plugins = "pytester"

ONE_OF_EACH = """
import pytest

def test_says_nothing(): pass
def test_asks_for_a_fixture(power): pass
@pytest.fixture
def switched(pins): pass
def test_asks_for_a_fixture_of_a_fixture(switched): pass
@pytest.mark.hardware
def test_says_hardware(): pass
@pytest.mark.mixed
def test_says_mixed(power): pass
@pytest.mark.no_hardware
def test_says_no_hardware(): pass
"""
CONTRADICTIONS = {
    "two markers": "@pytest.mark.hardware\n@pytest.mark.mixed\ndef test_confused(): pass",
    "a fixture": "@pytest.mark.no_hardware\ndef test_confused(power): pass",
}


@pytest.mark.parametrize(
    ("marker", "selected"),
    [
        (
            "hardware",
            {"test_asks_for_a_fixture", "test_asks_for_a_fixture_of_a_fixture", "test_says_hardware"},
        ),
        ("mixed", {"test_says_mixed"}),
        ("no_hardware", {"test_says_nothing", "test_says_no_hardware"}),
    ],
)
def test_each_test_is_of_one_kind(marker: str, selected: set[str], run_suite: RunSuite) -> None:
    inner = run_suite(ONE_OF_EACH, "-m", marker, "--strict-markers", "--hil-boards=sim:1")

    assert set(inner.outcomes) == selected


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n1", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
def test_a_test_that_contradicts_itself_is_named(
    contradiction: str, workers: str, run_suite: RunSuite
) -> None:
    inner = run_suite(f"import pytest\n{CONTRADICTIONS[contradiction]}", workers)

    assert inner.status not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
    assert "test_inner.py::test_confused is marked" in inner.text


@pytest.mark.thorough
def test_the_markers_explain_themselves(run_suite: RunSuite) -> None:
    inner = run_suite("", "--markers")

    assert (
        "@pytest.mark.mixed: uses a board if there is one, else a simulated one; never skipped" in inner.text
    )


def test_a_board_fixture_that_a_test_gets_behind_its_back_is_refused(run_suite: RunSuite) -> None:
    source = """
def test_1_sneaks(request):
    request.getfixturevalue("power")

def test_2_is_honest(power):
    power.read()
"""

    inner = run_suite(source, "--hil-boards=sim:1")

    assert "UsbBlockedError" in inner.outcomes["test_1_sneaks"].message
    assert inner.outcomes["test_2_is_honest"].result == "passed"
