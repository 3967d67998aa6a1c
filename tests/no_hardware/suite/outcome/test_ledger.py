"""What was planned, ran and was skipped: in the terminal and in JUnit, from one process and from two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.evidence.run_folder import EvidenceFolder
from hil.history.analysis import analyze
from hil.history.store import History
from hil.history.window import Window
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import InnerRun, RunSuite

pytest_plugins = "pytester"

TWO_OF_EACH = """
import pytest

from hil.suite.outcome.exit_status import Status

def test_reads(power): power.read()
def test_reads_again(power): power.read()
@pytest.mark.mixed
def test_mixed(power): power.read()
def test_plain(): pass
"""
PASSES_WITHOUT = "import pytest\n@pytest.mark.hardware\ndef test_passes(): pass"
ALONE_AND_IN_TWO = pytest.mark.parametrize(
    "workers", ["-n0", pytest.param("-n2", marks=pytest.mark.thorough)]
)


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, ...], InnerRun]:
    """The runs of this module so far, by what was different in them."""
    return {}


@pytest.fixture
def run_four(run_suite: RunSuite, runs: dict[tuple[str, ...], InnerRun]) -> RunSuite:
    """Runs the four tests above, once for each way to run them, and remembers."""

    def run_once(*arguments: str) -> InnerRun:
        if arguments not in runs:
            runs[arguments] = run_suite(TWO_OF_EACH, *arguments)
        return runs[arguments]

    return run_once


@ALONE_AND_IN_TWO
def test_loud_line_tells_that_no_hardware_test_ran(workers: str, run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", workers)

    loud = [line for line in inner.text.splitlines() if line.startswith("NO HARDWARE TEST RAN")]
    assert loud == [
        (
            "NO HARDWARE TEST RAN: 2 planned, 2 skipped, 0 failed (DUTLink not available); "
            "1 mixed test ran on SIMULATED boards"
        )
    ]


@ALONE_AND_IN_TWO
def test_run_without_hardware_tests_is_no_failure_by_itself(workers: str, run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", workers)

    assert inner.status == pytest.ExitCode.OK


@ALONE_AND_IN_TWO
def test_run_without_hardware_tests_fails_if_hardware_is_required(workers: str, run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", "--hil-require", workers)

    assert inner.status == Status.BENCH_NOT_READY


def test_loud_line_tells_that_no_test_was_planned(run_suite: RunSuite) -> None:
    inner = run_suite("def test_plain(): pass")

    assert "NO HARDWARE TEST RAN: none was planned" in inner.text


@ALONE_AND_IN_TWO
def test_ledger_names_the_boards_of_a_run_without_a_loud_line(workers: str, run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=sim:1", workers)

    assert "firmware 0.09, SIMULATED: 3 tests ran" in inner.text
    assert "NO HARDWARE TEST RAN" not in inner.text


@ALONE_AND_IN_TWO
def test_ledger_counts_tests_by_their_results(workers: str, run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", workers)

    assert "hardware: 2 planned, 0 ran, 0 failed, 2 skipped" in inner.text
    assert "mixed: 1 planned, 1 ran, 0 failed, 0 skipped" in inner.text


def test_ledger_tells_equal_reasons_once(run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", "-n0")

    assert inner.text.count("2 x DUTLink not available: this run looks for no boards") == 1


def test_ledger_plans_no_deselected_tests(run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", "-k", "again")

    assert "hardware: 1 planned" in inner.text


@ALONE_AND_IN_TWO
def test_junit_has_the_counts_of_the_suite(workers: str, run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", workers)

    assert inner.suite_properties["hil_hardware_planned"] == "2"
    assert inner.suite_properties["hil_hardware_skipped"] == "2"
    assert inner.suite_properties["hil_no_hardware_ran"].startswith("NO HARDWARE TEST RAN")


def test_junit_has_board_and_firmware_of_each_test(run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=sim:1", "-n0")

    properties = inner.outcomes["test_reads"].properties
    assert (len(properties["hil_board"]), properties["hil_firmware"]) == (8, "0.09")


def test_junit_has_verdict_and_remedy_of_each_skip(run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", "-n0")

    properties = inner.outcomes["test_reads"].properties
    assert (properties["hil_verdict"], "--hil-boards sim:2" in properties["hil_remedy"]) == ("absent", True)


def test_tests_without_a_board_have_no_properties(run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", "-n0")

    assert inner.outcomes["test_plain"].properties == {}


def test_a_board_whose_tests_all_died_in_set_up_is_named(run_suite: RunSuite) -> None:
    broken = "import pytest\n@pytest.fixture\ndef broken(power): 1 / 0\n"

    inner = run_suite(f"{broken}def test_one(broken): pass\ndef test_two(broken): pass", "--hil-boards=sim:1")

    assert ", SIMULATED: no test ran, 2 died in set-up" in inner.text


def test_a_test_skipped_by_its_author_gets_no_board(run_suite: RunSuite) -> None:
    inner = run_suite("import pytest\n@pytest.mark.skip\ndef test_skipped(power): pass", "--hil-boards=sim:1")

    assert "hil_board" not in inner.outcomes["test_skipped"].properties
    assert "NO HARDWARE TEST RAN: 1 planned, 1 skipped" in inner.text


OWN_SKIPS = program(__file__, "ledger_own_skips")


@ALONE_AND_IN_TWO
def test_ledger_names_each_skip_without_a_proof(workers: str, run_suite: RunSuite) -> None:
    inner = run_suite(OWN_SKIPS, "--hil-boards=sim:1", "--hil-require", workers)

    reasons = inner.suite_properties["hil_reasons"]
    assert "1 x skipped by its author: not today (test_inner.py::test_body)" in reasons
    assert "2 x skipped by its author: later (test_inner.py::test_" in reasons
    assert "1 x skipped by its author: got empty parameter set for (x) (test_inner.py::test_empty[" in reasons
    assert all(line in inner.text.splitlines() for line in reasons.split("; "))


def test_skips_of_authors_are_green_where_hardware_is_required(run_suite: RunSuite) -> None:
    inner = run_suite(OWN_SKIPS, "--hil-boards=sim:1", "--hil-require")

    assert inner.status == Status.GREEN, inner.text


def test_skip_by_proof_is_not_called_its_author_s(run_four: RunSuite) -> None:
    inner = run_four("--hil-boards=none", "-n0")

    assert "by its author" not in inner.text


def test_tests_that_never_began_are_counted(run_suite: RunSuite) -> None:
    inner = run_suite(
        "def test_1(power): assert False\ndef test_2(power): pass", "--hil-boards=sim:1", "--exitfirst"
    )

    assert "hardware: 2 planned, 1 ran, 1 failed, 0 skipped, 1 never began" in inner.text
    assert inner.suite_properties["hil_hardware_never_began"] == "1"


def test_a_hardware_test_that_passed_without_a_board_is_counted_as_such(run_suite: RunSuite) -> None:
    inner = run_suite(PASSES_WITHOUT, "--hil-boards=none")

    assert "hardware: 1 planned, 0 ran, 0 failed, 0 skipped, 1 ran without a board" in inner.text


def test_hardware_test_without_a_board_fails_if_hardware_is_required(run_suite: RunSuite) -> None:
    inner = run_suite(PASSES_WITHOUT, "--hil-boards=none", "--hil-require")

    assert (inner.results(), inner.status) == ({"test_passes": "error"}, Status.BENCH_NOT_READY)


@pytest.mark.parametrize(
    "arguments",
    ["strict=True", *(pytest.param(one, marks=pytest.mark.thorough) for one in ("", "raises=BaseException"))],
)
def test_no_xfail_excuses_hardware_that_is_required(arguments: str, run_suite: RunSuite) -> None:
    source = f"import pytest\n@pytest.mark.xfail({arguments})\ndef test_reads(power): assert False"
    inner = run_suite(source, "--hil-boards=none", "--hil-require")

    assert (inner.results(), inner.status) == ({"test_reads": "error"}, Status.BENCH_NOT_READY)


def test_an_xfail_keeps_its_meaning_on_a_board(run_suite: RunSuite) -> None:
    source = "import pytest\n@pytest.mark.xfail\ndef test_reads(power): assert False"
    inner = run_suite(source, "--hil-boards=sim:1", "--hil-require")

    assert (inner.results(), inner.status) == ({"test_reads": "xfailed"}, Status.GREEN)


VANISHES = "import pytest\npytest.importorskip('no_such_driver')\ndef test_never(power): pass\n"


@ALONE_AND_IN_TWO
def test_files_that_vanish_at_collection_are_counted(
    workers: str, run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_vanishes=VANISHES)

    inner = run_suite(
        "def test_reads(power): power.read()", "--hil-boards=sim:1", "--hil-report=r", workers, "."
    )

    told = "vanished at collection, with all their tests: 1: test_vanishes.py (could not import"
    assert told in inner.text
    assert told in inner.suite_properties["hil_vanished"]
    assert "1 file vanished at collection" in (pytester.path / "r" / "summary.md").read_text(encoding="utf-8")


CANNOT = "import pytest\nraise RuntimeError('first line')\ndef test_never(power): pass\n"


@ALONE_AND_IN_TWO
def test_a_file_that_cannot_be_collected_is_a_failure_wherever_the_run_is_told(
    workers: str, run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_cannot=CANNOT)

    asked = ("--hil-boards=sim:1", "--hil-report=r", "--hil-history=h.db", "--hil-history-kind=nightly")
    inner = run_suite("def test_reads(power): power.read()", *asked, workers, ".")

    said = "could not be collected: RuntimeError: first line"
    told = f"NOT COLLECTED: test_cannot.py {said}"
    assert f"\n{told}\n" in inner.text
    assert inner.suite_properties["hil_uncollected"] == told
    summary, page = ((pytester.path / "r" / name).read_text("utf-8") for name in ("summary.md", "index.html"))
    assert summary.startswith("## hil: SIMULATED: 1 file could not be collected\n")
    assert f"- **error** `test_cannot.py`: `{said}`" in summary
    assert page.index("Look at these first") < page.index("test_cannot.py") < page.index(said)
    with History(pytester.path / "h.db") as history:
        attempts = history.attempts(history.runs()[0].key)
        morning = analyze(Window(history))
    assert [(one.last.message, one.last.number) for one in attempts if one.nodeid == "test_cannot.py"] == [
        (said, 1)
    ]
    assert str(morning.failing[0]) == "test_cannot.py: could not be collected, new"


FAILS_FIRST = """
from pathlib import Path

def test_1(power):
    power.read()
    assert Path("ran").exists() or Path("ran").touch()
"""


@pytest.mark.thorough
def test_failure_of_a_test_that_is_asked_for_twice_stands(run_suite: RunSuite) -> None:
    twice = ("test_inner.py", "test_inner.py", "--keep-duplicates")

    inner = run_suite(FAILS_FIRST, "--hil-boards=sim:1", *twice)

    assert "hardware: 1 planned, 1 ran, 1 failed, 0 skipped" in inner.text
    assert "1 failed, 1 passed" in inner.text


SKIPS_AND_FAILS = """
import pytest

@pytest.fixture
def broken_end(power):
    yield
    assert power is None

def test_skips(broken_end): pytest.skip("enough")
"""


@ALONE_AND_IN_TWO
def test_failure_in_tear_down_outranks_the_skip_of_the_body(
    workers: str, run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    inner = run_suite(SKIPS_AND_FAILS, "--hil-boards=sim:1", "--hil-report=r", workers)

    assert "hardware: 1 planned, 0 ran, 1 failed, 0 skipped, 1 of the failed tested nothing" in inner.text
    assert "skipped by its author" not in inner.text
    assert "died in set-up" not in inner.text
    (test,) = EvidenceFolder(pytester.path / "r").tests("")
    assert (test.attempts[0].outcome, test.attempts[0].message[:12]) == ("error", "assert <Powe")


DROPS = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if "again" not in item.name]
    return (yield)
"""


@ALONE_AND_IN_TWO
def test_hardware_tests_that_a_plugin_drops_after_collection_are_counted(
    workers: str, run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(drops=DROPS)
    source = f"{TWO_OF_EACH}\ndef test_plain_again(): pass\n"

    inner = run_suite(
        source, "-p", "drops", "--hil-boards=none", "--hil-report=r", "-k", "not mixed", workers
    )

    told = "dropped after collection, by a conftest.py or a plugin: 1: test_inner.py::test_reads_again"
    assert f"\n{told}\n" in inner.text
    assert inner.suite_properties["hil_dropped"] == told
    assert "1 test dropped after collection" in (pytester.path / "r" / "summary.md").read_text("utf-8")
    assert inner.results() == {"test_reads": "skipped", "test_plain": "passed"}


@ALONE_AND_IN_TWO
def test_deselected_tests_are_counted_in_the_ledger(workers: str, run_suite: RunSuite) -> None:
    inner = run_suite(TWO_OF_EACH, "--hil-boards=none", "-k", "not mixed and not plain", workers)

    number = inner.suite_properties["hil_deselected"].removeprefix("deselected, by -k, -m or a plugin: ")
    assert f"\ndeselected, by -k, -m or a plugin: {number}\n" in inner.text
    assert int(number) > 0


def test_run_all_of_whose_hardware_tests_were_deselected_says_so(run_suite: RunSuite) -> None:
    inner = run_suite("def test_a(power): pass\ndef test_x(): pass", "-k", "test_x", "--hil-boards=none")

    assert "NO HARDWARE TEST RAN: none was planned, 1 deselected" in inner.text


def test_run_all_of_whose_hardware_tests_were_dropped_says_so(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(drops=DROPS)

    inner = run_suite("def test_again(power): pass\ndef test_x(): pass", "-p", "drops", "--hil-boards=none")

    assert "NO HARDWARE TEST RAN: none was planned, 1 dropped after collection" in inner.text


@pytest.mark.parametrize("shows", ["--collect-only", "--setup-plan", "--fixtures"])
def test_collect_only_is_no_run(shows: str, run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    inner = run_suite(
        "def test_reads(power): power.read()",
        *("--hil-boards=sim:1", "--hil-require", "--hil-report=r", "--hil-history=h.db", shows),
    )

    assert inner.status == Status.GREEN, inner.text
    assert "hil: hardware ledger" not in inner.text
    assert "NO HARDWARE TEST RAN" not in inner.text
    assert not (pytester.path / "h.db").exists()
    assert not (pytester.path / "r").exists()
