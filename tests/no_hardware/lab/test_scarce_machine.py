"""Processes without descriptors, threads, processes or memory: an error, and no powered DUT. Real limits."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.cli.main import run
from hil.dutlink.timing import until
from tests.support.other_user import only_root

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess


pytestmark = pytest.mark.thorough  # processes
ROOT = Path(__file__).parents[3]
HIL = [sys.executable, "-P", "-m", "hil.cli.main"]
PYTEST = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-q", "test_it.py"]
LEASE = [*HIL, "lease", "--", "sh", "-c", f"{' '.join(HIL)} power force-on; exit 0"]
COMMANDS = {"power on": [*HIL, "power", "force-on"], "safe": [*HIL, "safe"], "lease": LEASE, "pytest": PYTEST}
TEST = """
import pytest

@pytest.mark.hardware
def test_powers(power):
    power.force_on()
"""
USER = 60_003
AS_USER = [
    *("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"),
    *("--inh-caps", "+dac_read_search,+dac_override", "--ambient-caps", "+dac_read_search,+dac_override"),
]
"""Limits of processes do not hold for root; this user reads what only root may, such as this interpreter."""

LIMIT_S = 100.0
every_command = pytest.mark.parametrize("command", COMMANDS)
SIMULATOR = {"boards": 1, "speed": 20}


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> str:
    locks = tmp_path / "locks"
    locks.mkdir()
    locks.chmod(0o1777)
    monkeypatch.setenv("HIL_LOCK_DIR", str(locks))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(TEST)
    run(["power", "force-off"])
    return simulator.serials()[0]


def with_limit(
    command: str, folder: Path, *, kind: int | None = None, limit: int = 0, before: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(before or []), *COMMANDS[command]],
        cwd=folder,
        preexec_fn=None if kind is None else lambda: resource.setrlimit(kind, (limit, limit)),
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
    )


def check(
    command: str,
    done: subprocess.CompletedProcess[str],
    simulator: SimulatorProcess,
    serial: str,
    *,
    words: bool = True,
) -> None:
    """A command did what it was asked for, or says in words why not; what ends leaves no DUT with power."""
    if words and command != "pytest":  # pytest has tracebacks of its own
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0 or done.stderr.strip()
    is_on = simulator.management.state(serial)["supply"]
    if command == "power on":
        assert is_on == (done.returncode == 0)
    elif command == "safe":
        assert done.returncode != 0 or not is_on  # it may be off, and the command fail after that
    else:
        assert until(lambda: not simulator.management.state(serial)["supply"], LIMIT_S)


@every_command
@pytest.mark.parametrize("descriptors", [5, 8, 12])
def test_process_without_descriptors_leaves_no_board_with_power(
    simulator: SimulatorProcess, serial: str, tmp_path: Path, command: str, descriptors: int
) -> None:
    if command == "safe":
        run(["power", "force-on"])

    done = with_limit(command, tmp_path, kind=resource.RLIMIT_NOFILE, limit=descriptors)

    check(command, done, simulator, serial)


@every_command
@pytest.mark.parametrize("mebibytes", [40, 52, 100])
def test_process_without_memory_leaves_no_board_with_power(
    simulator: SimulatorProcess, serial: str, tmp_path: Path, command: str, mebibytes: int
) -> None:
    if command == "safe":
        run(["power", "force-on"])

    done = with_limit(command, tmp_path, kind=resource.RLIMIT_AS, limit=mebibytes << 20)

    check(command, done, simulator, serial, words=False)  # Python itself may not start


@only_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux's setpriv is not installed")
@every_command
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_process_without_processes_and_threads_leaves_no_board_with_power(
    simulator: SimulatorProcess, serial: str, tmp_path: Path, command: str, processes: int
) -> None:
    tmp_path.chmod(0o777)
    if command == "safe":
        run(["power", "force-on"])

    done = with_limit(command, tmp_path, before=[*AS_USER, "prlimit", f"--nproc={processes}"])

    check(command, done, simulator, serial)
