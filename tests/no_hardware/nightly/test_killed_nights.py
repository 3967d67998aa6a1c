"""Nights killed at random: history intact, report written, DUTs off, and the next night runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import sleep, until
from hil.history.store import History
from tests.support.programs import has_ended, parent_of

if TYPE_CHECKING:
    from hil.evidence.records import RecordedTest, RunRecord
    from hil.sim.process import SimulatorProcess


TESTS = """
import time
import pytest

@pytest.mark.parametrize("turn", range(6))
def test_on(power, turn):
    power.on()
    time.sleep(0.2)
    assert power.read().volts > 0
"""
BATCHES, TURNS = 5, 10
LONGEST_S = 300.0

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(3600)]
SIMULATOR = {"boards": 2}


def hil_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hil.cli.main", *arguments]


def start_night(clone: Path, simulator: SimulatorProcess) -> subprocess.Popen[bytes]:
    (clone / "test_inner.py").write_text(TESTS, "utf-8")
    boards = f"--hil-boards=sim@{simulator.ready['control_port']}"
    with (clone / "shown.txt").open("wb") as shown:
        command = hil_command("nightly", "run", "--", "-n2", boards)
        return subprocess.Popen(command, cwd=clone, stdout=shown, stderr=subprocess.STDOUT)


def tree_of(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = parent_of(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def kill_at_random(night: subprocess.Popen[bytes], longest_s: float, rng: random.Random) -> str:
    """Kill one process of a night, or all of them, and wait for the end of the others."""
    sleep(rng.uniform(0.1, longest_s))
    tree = tree_of(night.pid)
    whole = rng.random() < 0.3
    victims = tree if whole else [rng.choice(tree)]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    night.wait(LONGEST_S)
    assert until(lambda: all(map(has_ended, tree)), LONGEST_S)
    return f"{len(victims)} of {len(tree)} processes"


def check_history(path: Path, before: dict[str, list[RecordedTest]]) -> dict[str, list[RecordedTest]]:
    """See that nothing was lost; returns what is there now, by the run's key."""
    if not path.exists():
        return before
    with History(path) as history:
        assert history.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        now = {run.key: history.attempts(run.key) for run in history.runs()}
    for key, attempts in before.items():
        assert now[key] == attempts
    return now


def newest(path: Path) -> tuple[RunRecord, list[RecordedTest]]:
    with History(path) as history:
        run = history.runs()[-1]
        return run, history.attempts(run.key)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_run_night_killed_at_random_leaves_everything_in_order(
    batch: int, clone: Path, simulator: SimulatorProcess
) -> None:
    rng = random.Random(batch)  # noqa: S311 - the same moments each time, as far as the machine allows
    path = clone / "nightly" / "history.db"
    began = time.monotonic()
    assert start_night(clone, simulator).wait(LONGEST_S) == 0, (clone / "shown.txt").read_text("utf-8")
    longest_s = time.monotonic() - began
    known = check_history(path, {})
    for _ in range(TURNS):
        killed = kill_at_random(start_night(clone, simulator), longest_s, rng)

        off = until(lambda: not any(board["supply"] for board in simulator.management.states()), LONGEST_S)
        assert off, f"a DUT has power after {killed} were killed"
        known = check_history(path, known)

    assert start_night(clone, simulator).wait(LONGEST_S) == 0, (clone / "shown.txt").read_text("utf-8")
    run, attempts = newest(path)
    assert (run.exit_status, [one.outcome for one in attempts]) == (0, ["passed"] * 6)
    report = subprocess.run(
        hil_command("report", "pages"), cwd=clone, env={**os.environ, "HIL_HISTORY": str(path)}, check=False
    )
    assert (report.returncode, (clone / "pages" / "index.html").is_file()) == (0, True)
