"""`--hil-repeat`: both results of a repeated test are kept, and a pass on repeat is flaky, never green."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from hil.history.store import History
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytestmark = pytest.mark.thorough  # runs of the suite
pytest_plugins = "pytester"

FIRST = """
import pathlib, pytest

def first(name):
    path = pathlib.Path(name)
    if path.exists():
        return False
    path.write_text("was here")
    return True
"""
FLAKY = (
    FIRST
    + """
def test_flaky(power):
    power.on()
    assert not first("flaky"), "only at first"
"""
)
COLD = FIRST + program(__file__, "repeating_cold")
SEVERAL = FIRST + program(__file__, "repeating_several")
BOTH_WAYS = pytest.mark.parametrize("workers", ["-n0", "-n2"])


@BOTH_WAYS
def test_a_pass_on_repeat_is_flaky_with_a_status_of_its_own(run_suite: RunSuite, workers: str) -> None:
    inner = run_suite(FLAKY, "--hil-boards=sim:1", "--hil-repeat=1", workers)

    assert inner.status == Status.FLAKY
    assert "1 repeated, 1 flaky" in inner.text


@BOTH_WAYS
def test_flaky_test_is_a_failure_in_junit_with_its_reason(run_suite: RunSuite, workers: str) -> None:
    inner = run_suite(FLAKY, "--hil-boards=sim:1", "--hil-repeat=1", workers)

    (one,) = inner.outcomes.values()
    assert one.message.startswith("flaky: passed when it was repeated after a power cycle; before: Asserti")
    assert (one.result, one.properties["hil_outcome"], one.properties["hil_attempt"]) == (
        "failed",
        "flaky",
        "2",
    )


def test_flaky_test_shows_the_output_of_the_failed_attempt(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    source = FLAKY.replace("assert not", "assert not print('said at', first('printed') or 'last') and not")

    run = run_suite(source, "--hil-boards=sim:1", "--hil-repeat=1")

    section = run.text.partition("hil: FLAKY")[2].partition("hardware ledger")[0]
    assert ("said at True" in section, "said at last" in section) == (True, False)
    assert "DUT console of board" in section
    (out,) = ET.parse(pytester.path / "inner.xml").iter("system-out")  # noqa: S314 - pytest's own
    assert str(out.text).startswith("attempt 1, board sim-1 (")


@BOTH_WAYS
def test_repetition_is_kept_in_the_history_with_both_attempts(
    run_suite: RunSuite, pytester: pytest.Pytester, workers: str
) -> None:
    run_suite(FLAKY, "--hil-boards=sim:1", "--hil-repeat=1", "--hil-history=h.db", workers)

    with History(pytester.path / "h.db") as history:
        (run,) = history.runs()
        attempts = [(one.last.number, one.outcome, one.last.message) for one in history.attempts(run.key)]
    assert attempts == [
        (1, "failed", "AssertionError: only at first"),
        (2, "passed", ""),
    ]
    assert run.exit_status == Status.FLAKY


def test_repetition_needs_its_option(run_suite: RunSuite) -> None:
    inner = run_suite(FLAKY, "--hil-boards=sim:1")

    assert (inner.status, inner.results()) == (Status.TESTS_FAILED, {"test_flaky": "failed"})


@BOTH_WAYS
def test_repetition_sets_up_session_fixtures_of_the_board_again(
    run_suite: RunSuite, pytester: pytest.Pytester, workers: str
) -> None:
    inner = run_suite(COLD, "--hil-boards=sim:1", "--hil-repeat=1", workers)

    assert inner.status == Status.FLAKY, inner.text
    assert (pytester.path / "boots").read_text() == "boot end boot end "


@BOTH_WAYS
def test_repetition_starts_with_the_dut_and_the_stick_off(run_suite: RunSuite, workers: str) -> None:
    source = """
from hil.dutlink.timing import until

def test_finds_it_cold(power, storage, pins):
    if first("cold"):
        storage.dut()
        power.force_on()
        assert until(lambda: power.read().amps > 0.1, 60), "it never drew current"
        assert False, "at the first attempt"
    assert power.read().amps < 0.02
    assert storage.position.name == "OFF"
"""

    inner = run_suite(FIRST + source, "--hil-boards=sim:1", "--hil-repeat=1", workers)

    assert inner.status == Status.FLAKY, inner.text
    assert "before: AssertionError: at the first attempt" in inner.text


@BOTH_WAYS
def test_repetition_of_each_kind_of_failure_has_its_outcome(run_suite: RunSuite, workers: str) -> None:
    inner = run_suite(SEVERAL, "--hil-boards=sim:1", "--hil-repeat=1", workers)

    told = {name: (one.result, one.properties.get("hil_outcome")) for name, one in inner.outcomes.items()}
    assert told == {
        "test_in_setup": ("failed", "flaky"),
        "test_always": ("failed", None),
        "test_subtests_always": ("failed", None),
        "test_subtests": ("failed", "flaky"),
        "test_skips_then": ("failed", None),
        "test_expected": ("xfailed", None),
        "test_teardown": ("error", None),
        "test_flaky_and_ends_badly": ("failed", "flaky"),
    }, inner.text
    assert inner.status == Status.TESTS_FAILED
    assert "4 failed, 1 passed, 1 xfailed" in inner.text  # a subtest of its own, and its test


def test_repetition_leaves_out_tests_without_a_board(run_suite: RunSuite) -> None:
    inner = run_suite(FIRST + "def test_plain(): assert not first('x')", "--hil-repeat=3")

    assert (inner.status, "1 repeated" in inner.text) == (Status.TESTS_FAILED, False)


def test_repetition_leaves_out_tests_whose_hardware_is_missing(run_suite: RunSuite) -> None:
    inner = run_suite(FLAKY, "--hil-boards=none", "--hil-require", "--hil-repeat=1")

    assert (inner.status, "1 repeated" in inner.text) == (Status.BENCH_NOT_READY, False)


def test_each_attempt_has_the_whole_time_limit(run_suite: RunSuite) -> None:
    source = FIRST + "import time\ndef test_slow(power):\n    time.sleep(4)\n    assert not first('x')\n"

    inner = run_suite(source, "--hil-boards=sim:1", "--hil-repeat=1", "--timeout=7")

    assert inner.status == Status.FLAKY, inner.text


def test_a_test_marked_for_rerunfailures_is_left_to_it(run_suite: RunSuite) -> None:
    inner = run_suite(
        FLAKY.replace("def test", "@pytest.mark.flaky(reruns=1)\ndef test"),
        "--hil-boards=sim:1",
        "--hil-repeat=1",
    )

    assert "1 passed, 1 rerun" in inner.text
    assert "1 repeated" not in inner.text


def test_repetition_works_without_rerunfailures(run_suite: RunSuite) -> None:
    inner = run_suite(FLAKY, "--hil-boards=sim:1", "--hil-repeat=1", "-p", "no:rerunfailures")

    assert inner.status == Status.FLAKY, inner.text


def test_a_file_that_cannot_be_collected_is_worse_than_a_flaky_test(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_broken="import no_such_module")

    inner = run_suite(FLAKY, "--hil-boards=sim:1", "--hil-repeat=1", "--continue-on-collection-errors")

    assert (inner.status, "1 flaky" in inner.text) == (Status.TESTS_FAILED, True), inner.text


def test_a_run_that_required_hardware_and_tested_nothing_says_so(run_suite: RunSuite) -> None:
    source = "import pytest\n@pytest.mark.skip\ndef test_no(power): pass\n"

    inner = run_suite(source, "--hil-boards=sim:1", "--hil-require")

    assert inner.status == Status.NOTHING_RAN, inner.text


@pytest.mark.parametrize(("serial", "status"), [("0df1ffff", Status.BENCH_NOT_READY), ("", Status.GREEN)])
@BOTH_WAYS
def test_a_board_of_the_lab_file_that_takes_no_part_is_told(
    run_suite: RunSuite, pytester: pytest.Pytester, serial: str, status: Status, workers: str
) -> None:
    place = f'[place.gone]\nserial = "{serial}"\n' if serial else ""
    (pytester.path / "lab.toml").write_text(place, "utf-8")

    inner = run_suite(
        "def test_on(power): pass", "--hil-boards=sim:1", "--hil-lab=lab.toml", "--hil-whole-lab", workers
    )

    assert inner.status == status, inner.text
    assert ("NOT THE WHOLE LAB: place gone, board 0df1ffff" in inner.text) == bool(serial)
