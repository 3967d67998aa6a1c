"""A lock folder without room: a real tmpfs over /run/lock, full, in a mount namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.cli.main import run

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess


ROOT = Path(__file__).parents[4]
HIL = f"{sys.executable} -P -m hil.cli.main"
LIMIT_S = 100.0
NO_BYTES = "mount -t tmpfs -o size=4k,mode=1777 none /run/lock && head -c 4096 /dev/zero >/run/lock/full"
NO_FILES = "mount -t tmpfs -o size=1m,nr_inodes=2,mode=1777 none /run/lock && : >/run/lock/full"
TEST = """
import pytest

@pytest.mark.hardware
def test_powers(power):
    power.force_on()
"""
SIMULATOR = {"boards": 1, "speed": 20}


def may_mount() -> bool:
    asked = ["unshare", "--mount", "sh", "-c", NO_BYTES]
    return (
        shutil.which("unshare") is not None
        and Path("/run/lock").is_dir()
        and subprocess.run(asked, check=False, capture_output=True).returncode == 0
    )


pytestmark = [
    pytest.mark.thorough,  # processes
    pytest.mark.skipif(not may_mount(), reason="only root, where it may mount, can fill a lock folder"),
    pytest.mark.parametrize("fill", [NO_BYTES, NO_FILES], ids=["no bytes left", "no files left"]),
]


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> str:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    run(["power", "force-off"])
    return simulator.serials()[0]


def in_full_folder(fill: str, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "HIL_LOCK_DIR"}
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{fill}; cd {folder}; exec {command}"],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


@pytest.mark.parametrize("command", ["power force-on", "lease -- true", "storage host"])
def test_hil_names_a_full_lock_folder(fill: str, command: str, tmp_path: Path) -> None:
    done = in_full_folder(fill, f"{HIL} {command}", tmp_path)

    assert "no room in /run/lock" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["safe", "safe --all"])
def test_hil_safe_switches_off_though_the_lock_folder_is_full(
    fill: str, command: str, tmp_path: Path, simulator: SimulatorProcess, serial: str
) -> None:
    run(["power", "force-on"])

    done = in_full_folder(fill, f"{HIL} {command}", tmp_path)

    assert (done.returncode, "no room in /run/lock" in done.stdout + done.stderr) == (0, True)
    assert simulator.management.state(serial)["supply"] is False


def test_hil_doctor_names_a_full_lock_folder(fill: str, tmp_path: Path) -> None:
    done = in_full_folder(fill, f"{HIL} doctor --quick", tmp_path)

    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert any("/run/lock" in line for line in problems)
    assert "Traceback" not in done.stderr


def test_run_without_room_leaves_no_power_and_names_the_folder_if_it_fails(
    fill: str, tmp_path: Path, simulator: SimulatorProcess, serial: str
) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(TEST)

    done = in_full_folder(fill, f"{sys.executable} -m pytest -p no:cacheprovider -q test_it.py", tmp_path)

    assert done.returncode == 0 or "no room in /run/lock" in done.stdout
    assert simulator.management.state(serial)["supply"] is False
