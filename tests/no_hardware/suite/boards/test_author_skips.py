"""A test that its author skips needs no board, and shows no other test's error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

SKIPS = program(__file__, "author_skips")
HOOK = """
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.name == "test_skipped_by_hook":
        item.add_marker(pytest.mark.skip(reason="by a hook"))
"""
AFTER_AN_ERROR = """
import pytest
def test_needs_a_board(dutlink): ...
@pytest.mark.skip(reason="later")
def test_skipped(dutlink): ...
@pytest.mark.skipif("True", reason="later")
def test_skipped_by_text(dutlink): ...
"""
WRONG = """
import pytest
@pytest.mark.skipif("no_such_name", reason="wrong")
def test_wrong(dutlink): ...
"""


@pytest.mark.parametrize("options", [[], ["--hil-require"]], ids=["", "required"])
def test_test_that_its_author_skips_needs_no_board(
    run_suite: RunSuite, pytester: pytest.Pytester, options: list[str]
) -> None:
    pytester.mkdir("inner").joinpath("conftest.py").write_text(HOOK)
    pytester.path.joinpath("inner", "test_skips.py").write_text(SKIPS)

    inner = run_suite("", "inner", "--hil-boards=none", *options)

    results = inner.results()
    assert results.pop("test_conditions_are_evaluated_once") == "passed", inner.text
    assert (len(results), set(results.values())) == (5, {"skipped"}), inner.text
    assert "No USB backend" not in inner.text
    assert "DUTLink not available" not in inner.text


def test_test_that_its_author_skips_acquires_no_board(run_on_simulator: RunSuite, serial: str) -> None:
    inner = run_on_simulator(SKIPS, "-k", "by_value or by_text or by_class")

    assert set(inner.results().values()) == {"skipped"}, inner.text
    assert not any("hil_board" in outcome.properties for outcome in inner.outcomes.values())
    assert serial not in inner.text


def test_test_that_its_author_skips_shows_no_error_of_the_test_before(run_suite: RunSuite) -> None:
    inner = run_suite(AFTER_AN_ERROR, "--hil-boards=none", "--hil-require")

    expected = {"test_needs_a_board": "error", "test_skipped": "skipped", "test_skipped_by_text": "skipped"}
    assert inner.results() == expected, inner.text


def test_condition_that_cannot_be_evaluated_is_told_in_place_of_a_missing_board(run_suite: RunSuite) -> None:
    inner = run_suite(WRONG, "--hil-boards=none")

    assert inner.results() == {"test_wrong": "error"}, inner.text
    assert "Error evaluating 'skipif' condition" in inner.text
