"""`--hil-report DIR` keeps what became of each test and of the run, whatever becomes of the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hil
from hil.dutlink.timing import until
from hil.evidence.records import file_stem
from hil.evidence.run_folder import EvidenceFolder
from hil.sim.process import SimulatorProcess
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.evidence.records import RecordedTest
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # runs of the suite
SUITE = program(__file__, "recorders_suite")


def kept(folder: Path) -> dict[str, RecordedTest]:
    evidence = EvidenceFolder(folder)
    run = evidence.run()
    assert run is not None
    return {one.nodeid.partition("::")[2]: one for one in evidence.tests(run.key)}


@pytest.fixture(params=[("-n0",), ("-n2",), ("-n2", "--dist=loadgroup")], ids=["plain", "xdist", "loadgroup"])
def tests(request: pytest.FixtureRequest, run_suite: RunSuite, pytester: pytest.Pytester) -> Any:
    run_suite(SUITE, "--hil-boards=sim:2", "--hil-report=report", *request.param)
    return kept(pytester.path / "report")


def test_each_test_is_kept_with_its_attempts_board_and_requests(tests: dict[str, RecordedTest]) -> None:
    assert {name: one.outcome for name, one in tests.items()} == {
        "test_on": "passed",
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_plain": "passed",
        "test_second_time": "flaky",
    }
    failed = tests["test_fails"]
    assert failed.last.message == "AssertionError: too little"
    assert "power.read().amps > 7" in failed.last.longrepr
    assert [phase.name for phase in failed.last.phases] == ["setup", "call", "teardown"]
    assert failed.board is not None
    assert (len(failed.board.serial), failed.board.simulated) == (8, True)
    assert "storage host ok" in [f"{one.name} {one.value} {one.status}" for one in failed.requests]
    assert tests["test_plain"].last.sections == [("Captured stdout call", "said aloud\n")]
    assert [one.outcome for one in tests["test_second_time"].attempts] == ["failed", "passed"]
    assert all(one.ended_s is not None and one.ended_s >= one.began_s for one in tests.values())


def test_a_repetition_from_cold_is_another_attempt_of_the_same_test(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    source = "import pathlib\ndef test_cold(power):\n    seen = pathlib.Path('seen')\n"
    source += "    assert seen.exists() or seen.write_text(''), 'never seen'"
    run_suite(source, "--hil-boards=sim:1", "--hil-report=report", "--hil-repeat=1")

    cold = kept(pytester.path / "report")["test_cold"]
    assert [one.outcome for one in cold.attempts] == ["failed", "passed"]
    assert [len(one.phases) for one in cold.attempts] == [3, 3]
    assert "never seen" in cold.attempts[0].message
    assert (cold.outcome, cold.last.message) == ("flaky", "")
    power = pytester.path / "report" / "power"
    assert [(power / f"{cold.stem}{attempt}.json").is_file() for attempt in ("", "-attempt-1")] == [
        True,
        True,
    ]


def test_the_run_is_kept_with_its_boards_and_its_ledger(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    run_suite(SUITE, "--hil-boards=sim:1", "--hil-report=report", "-n0")

    run = EvidenceFolder(pytester.path / "report").run()
    assert run is not None
    assert (run.exit_status, run.boards_from, run.ended_s is not None) == (1, "sim:1", True)
    assert [(board.simulated, board.state) for board in run.boards] == [(True, "safe")]
    assert "hardware: 3 planned, 2 ran, 1 failed, 1 skipped" in run.ledger


def test_a_board_has_its_name_in_the_last_test_too_though_it_is_given_back_by_then(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    with SimulatorProcess(boards=1) as simulator:
        serial = simulator.ready["boards"][0]["serial"]
        pytester.makefile(".toml", lab=f'[place.left]\nserial = "{serial}"')
        boards = f"--hil-boards=sim@{simulator.ready['control_port']}"
        run_suite(SUITE, boards, "--hil-lab=lab.toml", "--hil-report=report", "-n2")

    names = {one.board.name for one in kept(pytester.path / "report").values() if one.board is not None}
    assert names == {"left"}


def test_results_as_junit_are_beside_it_unless_they_go_elsewhere(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "--hil-report=report"]
    pytester.makepyfile(test_inner="def test_plain(): pass")
    subprocess.run(command, cwd=pytester.path, check=True, timeout=60, capture_output=True)

    assert 'name="test_plain"' in (pytester.path / "report" / "junit.xml").read_text()

    run_suite("def test_other(): pass", "--hil-report=report")  # it says --junitxml=inner.xml
    assert 'name="test_plain"' in (pytester.path / "report" / "junit.xml").read_text()


def test_a_folder_with_a_strangers_files_is_refused_before_the_first_test(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    site = pytester.mkdir("site")
    (site / "index.html").write_text("my site")

    inner = run_suite("def test_one(): open('ran', 'w').close()", "--hil-report=site")

    assert inner.status == pytest.ExitCode.USAGE_ERROR, inner.text
    assert "is not a folder of reports: it has index.html" in inner.text
    assert [each.name for each in site.iterdir()] == ["index.html"]
    assert not (pytester.path / "ran").exists()


def test_a_folder_with_results_of_a_run_without_hil_is_taken(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.mkdir("report").joinpath("junit.xml").write_text("<testsuites/>")
    for _ in range(2):  # the second run finds both
        inner = run_suite("def test_one(): pass", "--junitxml=report/junit.xml", "--hil-report=report")

    assert (inner.status, list(kept(pytester.path / "report"))) == (0, ["test_one"]), inner.text


LINKS = """
import os, pathlib

def test_links(power):
    pathlib.Path("mine").write_text("mine")
    pathlib.Path("report/power").mkdir()
    name = os.environ["INNER_LINK"]
    pathlib.Path(name).unlink(missing_ok=True)
    pathlib.Path(name).symlink_to(pathlib.Path("mine").absolute())
    power.read()
"""


@pytest.mark.parametrize(
    "name", ["junit.xml", "run.json", "index.html", "summary.md", "power/STEM.json", "power/STEM.svg"]
)
@pytest.mark.usefixtures("run_suite")
def test_a_file_of_the_report_is_written_through_no_link(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stem = file_stem("test_inner.py::test_links")
    monkeypatch.setenv("INNER_LINK", f"report/{name.replace('STEM', stem)}")
    pytester.makepyfile(test_inner=LINKS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:asyncio",
        "--hil-report=report",
        "--hil-boards=sim:1",
    ]
    subprocess.run(command, cwd=pytester.path, check=False, timeout=60, capture_output=True)

    assert (pytester.path / "mine").read_text() == "mine"


def test_a_second_run_into_the_same_folder_leaves_the_first_ones_tests_out(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    run_suite("def test_one(): pass", "--hil-report=report")
    run_suite("def test_two(): pass", "--hil-report=report")

    assert list(kept(pytester.path / "report")) == ["test_two"]


def test_a_folder_that_cannot_be_made_fails_no_test_and_is_told_once(
    run_suite: RunSuite,
) -> None:
    since_it_began = "import shutil\nshutil.rmtree('report')\nopen('report', 'w').close()\n"

    inner = run_suite(
        since_it_began + "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_n(n): pass",
        "--hil-report=report",
    )

    assert (set(inner.results().values()), inner.status) == ({"passed"}, 0)
    assert inner.text.count("NOT KEPT") == 4
    assert "NOT MADE SAFE" not in inner.text


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_results_that_cannot_be_written_beside_it_end_no_run_in_a_traceback(
    workers: str, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_inner="def test_plain(): pass")
    pytester.makeconftest((Path(hil.__file__).parents[1] / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", workers, "--hil-report=/proc/none/report"]

    ran = subprocess.run(command, cwd=pytester.path, check=False, timeout=60, capture_output=True, text=True)

    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "NOT KEPT: " in ran.stdout
    assert "1 passed" in ran.stdout


def test_a_test_that_takes_its_worker_with_it_is_kept_as_an_error(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    run_suite("import os\ndef test_dies(): os._exit(3)\ndef test_b(): pass", "--hil-report=report", "-n2")

    died = kept(pytester.path / "report")["test_dies"]
    assert (died.outcome, died.ended_s, "crashed" in died.last.message) == ("error", None, True)


def test_a_run_that_is_killed_leaves_what_was_known(pytester: pytest.Pytester) -> None:
    """Also which board the test had that was running."""
    pytester.makeconftest(Path(hil.__file__).parents[1].joinpath("conftest.py").read_text())
    hangs = "def test_hangs(power):\n    open('up', 'w')\n    time.sleep(99)"
    pytester.makepyfile(test_inner=f"import time\ndef test_a(): pass\n{hangs}")
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    run = subprocess.Popen(
        [*command, "--hil-report=report", "--hil-boards=sim:1", "--hil-lab=none"],
        cwd=pytester.path,
        stdout=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        assert until((pytester.path / "up").exists, 60)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()

    tests = kept(pytester.path / "report")
    assert {name: one.outcome for name, one in tests.items()} == {
        "test_a": "passed",
        "test_hangs": "cut short",
    }
    assert tests["test_hangs"].board is not None
    assert json.loads((pytester.path / "report" / "run.json").read_text())["ended_s"] is None
