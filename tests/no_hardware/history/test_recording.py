"""A run of pytest in the history, and `hil history` over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hil
from hil.history.facts import Outcome
from hil.history.store import History

REPOSITORY = Path(hil.__file__).parents[1]
TESTS = """
import os, pytest

def test_passes(): pass
def test_fails(): assert 1 == 2, "one is not two"
def test_skips(): pytest.skip("not today")
@pytest.mark.xfail
def test_expected(): assert False
@pytest.fixture
def broken(): raise ValueError("no set-up")
def test_errs(broken): pass
def test_on_a_board(power): power.read()
@pytest.mark.flaky(reruns=2)
def test_second_time(tmp_path_factory):
    seen = tmp_path_factory.getbasetemp().parent / "seen"
    assert seen.exists() or seen.write_text("")
"""


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


@pytest.fixture(scope="module", params=[(), ("-n", "2", "--dist=loadgroup")], ids=["plain", "xdist"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lay_out(tmp_path_factory.mktemp("recorded"))
    ran = run(folder, *request.param)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return folder / "h.db"


def test_each_attempt_is_in_it_by_its_plain_node_id(recorded: Path) -> None:
    with History(recorded) as history:
        (one,) = history.runs()
        found = [(a.nodeid.partition("::")[2], a.number, a.outcome) for a in history.attempts(one.key)]

    assert found == [
        ("test_errs", 1, Outcome.ERROR),
        ("test_expected", 1, Outcome.XFAILED),
        ("test_fails", 1, Outcome.FAILED),
        ("test_on_a_board", 1, Outcome.PASSED),
        ("test_passes", 1, Outcome.PASSED),
        ("test_second_time", 1, Outcome.FAILED),
        ("test_second_time", 2, Outcome.PASSED),
        ("test_skips", 1, Outcome.SKIPPED),
    ]


def test_a_test_on_a_board_is_kept_with_it(recorded: Path) -> None:
    with History(recorded) as history:
        (attempt,) = [a for a in history.attempts(history.runs()[0].key) if a.nodeid.endswith("board")]

    assert (len(attempt.bench.board), attempt.bench.simulated) == (8, True)


def test_the_run_is_kept_with_commit_and_exit_status(recorded: Path) -> None:
    with History(recorded) as history:
        (one,) = history.runs()

    assert (one.commit, one.exit_status, one.ended_s is not None) == ("c0ffee", 1, True)


def test_why_it_failed_is_kept_in_a_line(recorded: Path) -> None:
    with History(recorded) as history:
        (attempt,) = [a for a in history.attempts(history.runs()[0].key) if a.nodeid.endswith("test_fails")]

    assert attempt.message == "AssertionError: one is not two"


def test_hil_history_tells_what_is_new(recorded: Path) -> None:
    command = [sys.executable, "-m", "hil.cli.main", "--json", "history", "--file", str(recorded)]
    said = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)

    morning = json.loads(said.stdout)
    assert sorted(one["test"].partition("::")[2] for one in morning["failing"]) == ["test_errs", "test_fails"]
    assert [one["test"].partition("::")[2] for one in morning["flaky"]] == ["test_second_time"]


def test_a_history_that_cannot_be_written_fails_no_test_and_is_said(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    folder.joinpath("h.db").write_text("something else entirely, and long enough for SQLite to see", "utf-8")

    ran = run(folder, "-k", "test_passes")

    assert (ran.returncode, "NOT KEPT: 1 attempts" in ran.stdout) == (0, True), ran.stdout


def test_without_a_history_the_command_says_how_to_get_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hil.cli.main", "history", "--file", str(tmp_path / "none.db")]
    said = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)

    assert (said.returncode, "nox -s nightly" in said.stderr) == (1, True)
