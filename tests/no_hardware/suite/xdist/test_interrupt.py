"""SIGINT to the controller alone interrupts its workers, and none twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.suite.xdist.channel import ControllerChannel
from hil.suite.xdist.worker_channel import WorkerChannel
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]
SOON_S = 60.0
WORKER = program(__file__, "interrupt_worker")


@pytest.mark.parametrize(
    ("acts", "interrupts"),
    [
        (["told"], 1),
        (["real", "told"], 1),
        (["told", "real"], 2),
        (["real", "real"], 2),
        (["real", "told", "real"], 2),
    ],
)
def test_interruption_is_passed_on_to_a_worker_that_had_none(acts: list[str], interrupts: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WORKER, *acts], capture_output=True, check=True, text=True, timeout=60
    )

    assert int(ran.stdout) == interrupts


def test_run_channel_tells_workers_that_the_controller_was_interrupted() -> None:
    heard = threading.Event()
    channel = ControllerChannel()
    worker = WorkerChannel(channel.path, "gw0", lambda: None, interrupted=heard.set)
    worker.send_requirements([])
    assert channel.requirements("gw0") is not None

    channel.tell_interrupted()

    assert heard.wait(SOON_S)
    worker.close()
    channel.close()


SLOW = program(__file__, "interrupt_slow")
SLOW_END = """
import os
from hil.dutlink.timing import until
def pytest_keyboard_interrupt():  # the controller is slow to end, as where it formats a traceback
    if until(lambda: os.path.exists(os.environ["TOLD"] + ".ended"), 60):
        open(os.environ["TOLD"] + ".seen", "w").close()
"""


@pytest.mark.thorough  # a parallel run
def test_sigint_to_the_controller_alone_ends_its_workers_and_their_fixtures(
    run_suite: RunSuite,
    simulator: SimulatorProcess,
    serial: str,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = pytester.path / "told"
    monkeypatch.setenv("TOLD", str(told))

    def interrupt() -> None:
        assert until(lambda: told.exists() and len(told.read_text().split()) == 2, 60)
        os.kill(int(told.read_text().split()[0]), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    pytester.makepyfile(slow_end=SLOW_END)
    run = run_suite(SLOW, f"--hil-boards=sim@{simulator.management.port}", "-n", "2", "-p", "slow_end")
    thread.join()

    assert (run.status, told.with_suffix(".seen").exists()) == (2, True)
    assert until(lambda: not simulator.management.state(serial)["supply"], SOON_S)
