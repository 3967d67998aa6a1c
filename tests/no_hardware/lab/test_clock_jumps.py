"""Leases and waits while the wall clock is set an hour forward or back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.record import BoardState, read_record
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
ROOT = Path(__file__).parents[3]
LIMIT_S = 100.0
SERIAL = "0badb0a4"
TESTS = program(__file__, "clock_jumps_tests")
WAITS = """
import sys
from hil.errors import BoardBusyError
from hil.lab.locks.acquire import acquire
print("waits", flush=True)
try:
    with acquire(sys.argv[1], wait_s=float(sys.argv[2]), on_wait=lambda _: print("in line", flush=True)):
        print("has it", flush=True)
except BoardBusyError:
    print("busy", flush=True)
"""

pytestmark = pytest.mark.thorough  # processes
needs_faketime = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not there (apt install faketime)")
SIMULATOR = {"boards": 1, "speed": 5}


@pytest.fixture(params=["+3600", "-3600"])
def clock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of processes whose clock jumps by an hour once `JUMP` is written into its file."""
    file = tmp_path / "clock"
    file.write_text("+0")
    (tmp_path / "locks").mkdir()
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    return os.environ | {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "JUMP": request.param,
    }


def test_run_holds_its_board_and_leaves_it_safe_though_the_clock_jumps(
    simulator: SimulatorProcess, clock: dict[str, str], tmp_path: Path
) -> None:
    (serial,) = simulator.serials()
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS)
    options = [f"--hil-boards=sim@{simulator.management.port}", "--hil-require", "-p", "no:cacheprovider"]
    kept = [f"--hil-history={tmp_path / 'history.db'}", f"--hil-report={tmp_path / 'report'}"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, *kept, "test_it.py"],
        cwd=tmp_path,
        env=os.environ | {"JUMP": clock["JUMP"]},  # libfaketime 0.9.10 breaks time.sleep when the time jumps
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert simulator.management.state(serial)["supply"] is False
    assert read_record(tmp_path / "locks", serial).state is BoardState.SAFE
    acquire(serial).release()
    with closing(sqlite3.connect(tmp_path / "history.db")) as history:
        counted = "SELECT count(*), min(call_s) >= 0, max(call_s) < 1000 FROM attempt"
        rows = history.execute(counted).fetchone()
        assert rows == (3, 1, 1)
        assert history.execute("SELECT exit_status FROM run").fetchone() == (0,)


class Waiter:
    """A process that waits for the board."""

    def __init__(self, environ: dict[str, str], wait_s: float) -> None:
        command = [sys.executable, "-c", WAITS, SERIAL, str(wait_s)]
        self._process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        assert self.says() == "waits"

    def says(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ends_by(self) -> str:
        """Its first word that is not `in line`: it says that again when it sees that the holder has gone."""
        return next(word for word in iter(self.says, "") if word != "in line")

    def close(self) -> None:
        with self._process as process:
            process.kill()


@pytest.fixture
def waiters() -> Iterator[list[Waiter]]:
    waiters: list[Waiter] = []
    yield waiters
    for waiter in waiters:
        waiter.close()


@needs_faketime
def test_waiters_get_their_board_in_order_though_the_clock_jumps(
    clock: dict[str, str], waiters: list[Waiter]
) -> None:
    with acquire(SERIAL):
        waiters.append(Waiter(clock, 90.0))
        assert waiters[0].says() == "in line"
        Path(clock["FAKETIME_TIMESTAMP_FILE"]).write_text(clock["JUMP"])
        waiters.append(Waiter(clock, 90.0))
        assert waiters[1].says() == "in line"

    assert waiters[0].ends_by() == "has it"
    assert waiters[1].says() in {"in line", "has it"}


@needs_faketime
def test_waiter_gives_up_when_its_time_is_over_though_the_clock_jumps(
    clock: dict[str, str], waiters: list[Waiter]
) -> None:
    with acquire(SERIAL):
        began = time.monotonic()
        waiters.append(Waiter(clock, 3.0))
        assert waiters[0].says() == "in line"
        Path(clock["FAKETIME_TIMESTAMP_FILE"]).write_text(clock["JUMP"])

        assert waiters[0].ends_by() == "busy"
        assert time.monotonic() - began >= 3.0
