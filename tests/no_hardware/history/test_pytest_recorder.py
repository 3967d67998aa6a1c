"""A run of pytest recorded in the history, and `hil history` about it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import hil
from hil.evidence.records import RunRecord
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from hil.sim.process import SimulatorProcess
from tests.support.made_up import tried
from tests.support.programs import program

REPOSITORY = Path(hil.__file__).parents[1]
TESTS = program(__file__, "pytest_recorder_tests")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--hil-boards=sim:1",
        "--hil-history=h.db",
    ]
    return subprocess.run(
        [*command, f"--basetemp={folder / 'temp'}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HIL_COMMIT": "c0ffee"},
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )


def lay_out(folder: Path) -> Path:
    folder.joinpath("conftest.py").write_bytes(REPOSITORY.joinpath("conftest.py").read_bytes())
    folder.joinpath("test_inner.py").write_text(TESTS, "utf-8")
    folder.joinpath("pytest.ini").write_text("[pytest]\n", "utf-8")
    return folder


@pytest.fixture(
    scope="module",
    params=[(), pytest.param(("-n", "2", "--dist=loadgroup"), marks=pytest.mark.thorough)],
    ids=["plain", "xdist"],
)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lay_out(tmp_path_factory.mktemp("recorded"))
    ran = run(folder, *request.param)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return folder / "h.db"


def test_recorder_stores_each_attempt_by_its_plain_node_id(recorded: Path) -> None:
    with History(recorded) as history:
        (one,) = history.runs()
        found = [(a.nodeid.partition("::")[2], a.last.number, a.outcome) for a in history.attempts(one.key)]

    assert found == [
        ("test_errs", 1, "error"),
        ("test_expected", 1, "xfailed"),
        ("test_fails", 1, "failed"),
        ("test_on_a_board", 1, "passed"),
        ("test_passes", 1, "passed"),
        ("test_second_time", 1, "failed"),
        ("test_second_time", 2, "passed"),
        ("test_skips", 1, "skipped"),
    ]


def test_recorder_stores_the_board_of_a_test(recorded: Path) -> None:
    with History(recorded) as history:
        (attempt,) = [a for a in history.attempts(history.runs()[0].key) if a.nodeid.endswith("board")]

    assert (len(attempt.board.serial), attempt.board.simulated) == (8, True)


def test_recorder_stores_commit_and_exit_status_of_the_run(recorded: Path) -> None:
    with History(recorded) as history:
        (one,) = history.runs()

    assert (one.commit, one.exit_status, one.ended_s is not None) == ("c0ffee", 1, True)


def test_recorder_stores_the_error_in_one_line(recorded: Path) -> None:
    with History(recorded) as history:
        (attempt,) = [a for a in history.attempts(history.runs()[0].key) if a.nodeid.endswith("test_fails")]

    assert attempt.last.message == "AssertionError: one is not two"


def test_hil_history_names_new_failures(recorded: Path) -> None:
    command = [sys.executable, "-m", "hil.cli.main", "--json", "history", "--history", str(recorded)]
    said = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)

    morning = json.loads(said.stdout)
    assert sorted(one["test"].partition("::")[2] for one in morning["failing"]) == ["test_errs", "test_fails"]
    assert [one["test"].partition("::")[2] for one in morning["flaky"]] == ["test_second_time"]


def test_recorder_that_cannot_write_fails_no_test(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    folder.joinpath("h.db").write_text("something else entirely, and long enough for SQLite to see", "utf-8")

    ran = run(folder, "-k", "test_passes")

    assert (ran.returncode, "NOT KEPT: 1 attempts" in ran.stdout) == (0, True), ran.stdout


@pytest.mark.thorough
def test_hil_history_leaves_another_programs_database_as_it_is(tmp_path: Path) -> None:
    path = lay_out(tmp_path) / "h.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE theirs(x)")
    content = path.read_bytes()

    ran = run(tmp_path, "-k", "passes")

    assert "is no history of hil: its table theirs is not one that hil creates" in ran.stdout
    assert (path.read_bytes(), list(tmp_path.glob("h.db*"))) == (content, [path])


def test_recorder_stores_the_column_of_a_test(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)

    ran = run(folder, "--hil-each=board", "-k", "test_on_a_board")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    with History(folder / "h.db") as history:
        (attempt,) = history.attempts(history.runs()[0].key)
    assert (attempt.nodeid, attempt.column) == ("test_inner.py::test_on_a_board[sim-1]", "sim-1")


@pytest.mark.thorough
def test_recorder_stores_no_attempt_of_an_interrupted_test(tmp_path: Path) -> None:
    lay_out(tmp_path)
    interrupted = "def test_a(): pass\ndef test_b(): raise KeyboardInterrupt\n"
    (tmp_path / "test_inner.py").write_text(interrupted, "utf-8")

    ran = run(tmp_path)

    with History(tmp_path / "h.db") as history:
        (kept,) = Window(history).runs
        assert [one.nodeid for one in history.attempts(kept.key)] == ["test_inner.py::test_a"]
    assert (ran.returncode, kept.exit_status) == (2, 2)


def test_hil_history_without_a_history_tells_how_to_get_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hil.cli.main", "history", "--history", str(tmp_path / "none.db")]
    said = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)

    assert (said.returncode, "nox -s nightly" in said.stderr) == (1, True)


EVERYTHING = """
def test_flashes(storage, power, tmp_path):
    image = tmp_path / "os.img"
    image.write_bytes(bytes(range(256)) * 4096)
    storage.flash(image)
    power.force_on()

def test_comes_after_it(power): power.read()
"""


@pytest.mark.thorough
@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_recorder_stores_place_image_and_power(tmp_path: Path, workers: str) -> None:
    folder = lay_out(tmp_path)
    folder.joinpath("test_inner.py").write_text(EVERYTHING, "utf-8")
    with SimulatorProcess(boards=1) as simulator:
        (serial,) = simulator.serials()
        folder.joinpath("lab.toml").write_text(f'[place.left]\nserial = "{serial}"\n', "utf-8")
        where = f"--hil-boards=sim@{simulator.ready['control_port']}"

        ran = run(folder, where, "--hil-lab=lab.toml", "--hil-report=kept", workers)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    with History(folder / "h.db") as history:
        (one,) = history.runs()
        first, second = sorted(history.attempts(one.key), key=lambda a: a.nodeid, reverse=True)
    assert one.expected_boards == 1
    assert (first.board.serial, first.board.name) == (serial, "left")
    assert re.fullmatch(r"os\.img \(1048576 bytes, [0-9a-f]{12}\)", first.image)
    assert second.image == first.image
    assert first.last.mean_watts is not None
    assert second.last.mean_watts is not None


@pytest.mark.thorough
def test_measured_durations_reach_the_scheduler(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    with History(folder / "h.db") as history:
        for key, call_s in (("one", 3.0), ("two", 5.0)):
            history.begin_run(RunRecord(key, call_s))
            history.add(
                key,
                [tried("test_inner.py::test_slow", AttemptOutcome.PASSED, call_s=call_s, setup_s=1.0)],
            )
    folder.joinpath("test_inner.py").write_text(
        """
from hil.suite.xdist.plugin import BoardScheduling

def test_slow(): pass
def test_knows(pytestconfig):
    plugin = pytestconfig.pluginmanager.get_plugin("hil-scheduling")
    assert plugin._durations.known_s(["test_inner.py::test_knows", "test_inner.py::test_slow"]) == {1: 5.0}
""",
        "utf-8",
    )

    ran = run(folder, "-k", "knows")

    assert ran.returncode == 0, ran.stdout + ran.stderr
