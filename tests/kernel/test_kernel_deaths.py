"""Runs that die with a DUT that is on, on the real stack: the most telling cells of the kill matrix."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.lab.locks.acquire import acquire
from tests.kernel.inner_suite import OPTIONS, PLUGINS, inner_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kernel.attached import Bench

POWERED = """
import json, os, threading

def test_powers_the_dut_and_never_ends(dutlink):
    dutlink.power.force_on()
    dutlink.storage.host()
    with open("told.new", "w") as told:
        json.dump({"pid": os.getpid(), "board": dutlink.serial}, told)
    os.replace("told.new", "told")
    threading.Event().wait()
"""
BEGINS_WITHIN_S = 60.0
SAFE_WITHIN_S = 40.0


def kill_pytest(run: subprocess.Popen[bytes], _test: int) -> None:
    os.kill(run.pid, signal.SIGKILL)


def kill_worker(_run: subprocess.Popen[bytes], test: int) -> None:
    os.kill(test, signal.SIGKILL)


def kill_group(run: subprocess.Popen[bytes], _test: int) -> None:
    os.killpg(run.pid, signal.SIGKILL)


def end_politely(run: subprocess.Popen[bytes], _test: int) -> None:
    os.kill(run.pid, signal.SIGTERM)


CELLS = (
    pytest.param(kill_pytest, (), id="SIGKILL to pytest"),
    pytest.param(kill_group, (), id="SIGKILL to the process group"),
    pytest.param(end_politely, (), id="SIGTERM to pytest"),
    pytest.param(kill_pytest, ("-n", "2"), id="SIGKILL to the xdist controller"),
    pytest.param(kill_worker, ("-n", "2"), id="SIGKILL to the worker"),
)


@contextmanager
def powered_run(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """Start a run whose test holds a board with power; yields it, the test's pid, and the board's serial."""
    folder.joinpath("test_inner.py").write_text(POWERED, "utf-8")
    shutil.copy(Path(__file__).parents[2] / "conftest.py", folder)
    command = [sys.executable, "-m", "pytest", *PLUGINS, *OPTIONS, *arguments]
    with folder.joinpath("output.txt").open("wb") as output:
        run = subprocess.Popen(
            command,
            cwd=folder,
            env={**inner_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if not until((folder / "told").exists, BEGINS_WITHIN_S):
            raise TimeoutError(folder.joinpath("output.txt").read_text("utf-8", "replace"))
        told = json.loads(folder.joinpath("told").read_text("utf-8"))
        yield run, told["pid"], told["board"]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@pytest.mark.parametrize(("end", "arguments"), CELLS)
def test_a_run_that_dies_leaves_its_board_safe_and_free(
    end: Callable[[subprocess.Popen[bytes], int], None],
    arguments: tuple[str, ...],
    bench: Bench,
    boards: tuple[str, ...],
    tmp_path: Path,
) -> None:
    with powered_run(tmp_path, *arguments) as (run, test, serial):
        assert serial in boards
        assert bench.management.state(serial)["supply"] is True
        end(run, test)

        with acquire(serial, wait_s=SAFE_WITHIN_S):
            truth = bench.management.state(serial)

    assert (truth["supply"], truth["mux"]) == (False, "off")
