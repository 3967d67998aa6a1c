"""Runs of the whole suite inside a test: the root conftest.py in a folder of its own, on faulty boards."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hil
from tests.support.suite_run import InnerRun, RunSuite, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

REPOSITORY = Path(hil.__file__).parents[1]
OPTIONS = [
    "-p",
    "no:cacheprovider",
    "-p",
    "no:hypothesispytest",
    "-ra",
    "--junitxml=inner.xml",
    "--hil-silence=1.5",
]


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of this host where no process listens: it stays taken, so that none can listen there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.fixture
def serial(simulator: SimulatorProcess) -> Iterator[str]:
    """The simulator's one board, without faults before and after."""
    (serial,) = simulator.serials()
    simulator.management.clear(serial)
    yield serial
    simulator.management.clear(serial)


@pytest.fixture
def run_on_simulator(simulator: SimulatorProcess, run_suite: RunSuite) -> RunSuite:
    """Runs tests as `run_suite` does, on the boards of the simulator."""
    port = simulator.ready["control_port"]
    return lambda source, *arguments: run_suite(source, f"--hil-boards=sim@{port}", *arguments)


@pytest.fixture
def run_suite(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> RunSuite:
    """Runs tests given as text, or the tests that the folder holds, with the root conftest.py."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("HIL_LOCK_DIR", str(pytester.mkdir("locks")))
    for name in ("HIL_BOARDS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest((pytestconfig.rootpath / "conftest.py").read_text())

    def run(source: str, *arguments: str) -> InnerRun:
        pytester.makepyfile(test_inner=source)
        asyncio = [] if any("asyncio" in argument for argument in arguments) else ["-p", "no:asyncio"]
        result = pytester.runpytest_subprocess(*OPTIONS, *asyncio, *arguments)
        return read_run(result, pytester.path / "inner.xml")

    return run
