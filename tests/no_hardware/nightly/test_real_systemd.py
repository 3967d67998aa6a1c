"""A night that the real systemd starts and stops."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.nightly.run_folder import newest_record
from hil.sim.process import SimulatorProcess
from hil.suite.outcome.exit_status import Status
from tests.no_hardware.nightly.own_systemd import OwnSystemd, own_systemd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.thorough

SERVICE, TIMER = "hil-nightly.service", "hil-nightly.timer"
WAITS = """
import time

def test_waits(power):
    power.force_on()
    open("on", "w").close()
    while True:  # a signal just in front of one long wait would be found at its end
        time.sleep(0.1)
"""
SOON = "[Timer]\nOnCalendar=\nOnActiveSec=1\nAccuracySec=100ms\n"
"""What makes a timer of the night one of the next second."""

LIMIT_S = 60.0


@pytest.fixture
def systemd() -> Iterator[OwnSystemd]:
    with own_systemd() as running:
        yield running


def install(systemd: OwnSystemd, clone: Path, source: str, *more: str) -> str:
    """Install a night of one test on a simulated board, and return what was said."""
    (clone / "test_inner.py").write_text(source, "utf-8")
    command = [sys.executable, "-m", "hil.cli.main", "nightly", "install", "--at", "02:00"]
    installed = systemd.run(*command, "--", "-n0", *more, cwd=clone)
    assert installed.returncode == 0, installed.stderr
    return installed.stdout


def test_timer_installed_starts_the_night(systemd: OwnSystemd, clone: Path) -> None:
    install(systemd, clone, "def test_passes(power): power.on()\n", "--hil-boards=sim:1")
    assert "02:00:00" in systemd.tells(TIMER, "NextElapseUSecRealtime")
    folder = f"/etc/systemd/system/{TIMER}.d"
    systemd.run(
        "sh", "-c", f"mkdir {folder} && printf '{SOON}' >{folder}/soon.conf && systemctl daemon-reload"
    )

    systemd.run("systemctl", "restart", TIMER)

    assert until(lambda: _ended(clone), LIMIT_S)
    record = newest_record(clone / "nightly")
    assert record is not None
    assert record.status == Status.GREEN, (clone / "nightly" / "newest" / "console.txt").read_text("utf-8")
    assert until(lambda: systemd.tells(SERVICE, "ActiveState") == "inactive", LIMIT_S)
    assert systemd.tells(SERVICE, "Result") == "success"


def test_run_night_stopped_leaves_the_dut_off(systemd: OwnSystemd, clone: Path) -> None:
    with SimulatorProcess(boards=1) as simulator:
        (serial,) = simulator.serials()
        install(systemd, clone, WAITS, f"--hil-boards=sim@{simulator.ready['control_port']}")
        systemd.run("systemctl", "start", "--no-block", SERVICE)
        assert until((clone / "on").exists, LIMIT_S)
        assert simulator.management.state(serial)["supply"]

        systemd.run("systemctl", "stop", SERVICE)

        assert not simulator.management.state(serial)["supply"]
    record = newest_record(clone / "nightly")
    assert record is not None
    assert record.status == pytest.ExitCode.INTERRUPTED
    assert systemd.tells(SERVICE, "Result") != "timeout"


def _ended(clone: Path) -> bool:
    record = newest_record(clone / "nightly")
    return record is not None and bool(record.ended)
