"""A test that catches an error of hil and skips itself hides neither its own mistake nor missing hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite.outcome.exit_status import Status

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

BOARD_OR = """
import pytest

@pytest.fixture{scope}
def board_or(request):
    try:
        return request.getfixturevalue("dutlink")
    except {caught}:
        {then}
"""
UNMARKED = "def test_unmarked(board_or): pass\n"
MARKED = "@pytest.mark.hardware\ndef test_marked(board_or): board_or.power.read()\n"
ALONGSIDE = "def test_alongside(power): power.read()\n"


def suite(
    *tests: str, then: str = "pytest.skip('no board')", caught: str = "Exception", scope: str = ""
) -> str:
    return BOARD_OR.format(then=then, caught=caught, scope=scope) + "".join(tests)


@pytest.mark.parametrize("then", ["pytest.skip('no board')", "pytest.xfail('no board')", "return None"])
@pytest.mark.parametrize("others", ["", ALONGSIDE], ids=["alone", "alongside"])
def test_board_asked_for_without_marker_fails_its_test_whatever_catches_the_error(
    others: str, then: str, run_suite: RunSuite
) -> None:
    inner = run_suite(suite(UNMARKED, others, then=then), "--hil-boards=sim:1")

    assert (inner.results()["test_unmarked"], inner.status) == ("error", Status.TESTS_FAILED), inner.text
    assert "The test caught this error" in inner.outcomes["test_unmarked"].message


def test_board_asked_for_without_marker_fails_each_test_of_a_cached_fixture(run_suite: RunSuite) -> None:
    again = UNMARKED.replace("test_unmarked", "test_again")

    inner = run_suite(suite(UNMARKED, again, scope="(scope='session')"), "--hil-boards=sim:1")

    assert inner.results() == {"test_unmarked": "error", "test_again": "error"}, inner.text


@pytest.mark.parametrize(
    "then", ["pytest.skip('no USB here')", "pytest.xfail('no USB here')", "raise unittest.SkipTest('no USB')"]
)
def test_usb_refused_to_a_no_hardware_test_fails_the_excuse_that_caught_it(
    then: str, run_suite: RunSuite
) -> None:
    source = f"""
import pytest, unittest, usb.backend.libusb1

def test_looks():
    try:
        usb.backend.libusb1.get_backend()
    except Exception:
        {then}
"""

    inner = run_suite(source, "--hil-boards=none")

    assert inner.results() == {"test_looks": "failed"}, inner.text


@pytest.mark.parametrize(
    "then",
    [
        "pytest.skip('no board')",
        "pytest.xfail('x')",
        "import unittest; raise unittest.SkipTest",
        "return None",
    ],
)
def test_missing_board_is_told_by_hil_where_the_test_skips_itself(then: str, run_suite: RunSuite) -> None:
    late = MARKED.replace("board_or.power", "(board_or or pytest.skip('none')).power")

    inner = run_suite(suite(late, then=then), "--hil-boards=none")

    assert (inner.results(), inner.status) == ({"test_marked": "skipped"}, Status.GREEN), inner.text
    assert inner.outcomes["test_marked"].properties["hil_verdict"] == "absent"
    assert "1 x DUTLink not available" in inner.text


def test_skip_on_a_board_that_answers_stays_the_skip_of_its_author(run_suite: RunSuite) -> None:
    source = """
import pytest

def test_file(power):
    power.read()
    try:
        open("/no/such/file")
    except OSError:
        pytest.skip("no data file")
"""

    inner = run_suite(source, "--hil-boards=sim:1")

    assert inner.results() == {"test_file": "skipped"}, inner.text
    assert "hil_verdict" not in inner.outcomes["test_file"].properties
