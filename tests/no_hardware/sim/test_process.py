"""A simulator in a child process: its start and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.errors import SimulatorError
from hil.sim.process import SimulatorProcess
from tests.support.programs import processor_s

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 60.0
COMMAND = [sys.executable, "-m", "hil.cli.main", "sim"]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LIMIT_S
    while not what() and time.monotonic() < deadline:
        time.sleep(0.01)  # another process's end is no event of ours
    return what()


def start(*options: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [*COMMAND, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b'{"pid"')
    return process


def finish(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(LIMIT_S)
    finally:
        with process:
            process.kill()


def test_close_ends_the_process() -> None:
    simulator = SimulatorProcess(boards=1)
    simulator.close()

    assert not is_running(simulator.pid)


def test_close_leaves_no_folder() -> None:
    with SimulatorProcess(boards=1) as simulator:
        root = Path(simulator.ready["dev"]).parent
        there = root.is_dir()

    assert (there, root.exists()) == (True, False)


def test_speed_is_the_requested_one() -> None:
    with SimulatorProcess(boards=1, speed=2.5) as simulator:
        assert simulator.management.hello()["speed"] == 2.5


def test_serials_of_two_simulators_differ() -> None:
    with SimulatorProcess(boards=2) as one, SimulatorProcess(boards=2) as other:
        assert not set(one.serials()) & set(other.serials())


def test_state_folder_keeps_serial_numbers_and_settings(tmp_path: Path) -> None:
    with SimulatorProcess(boards=1, state=tmp_path) as first:
        serials = first.serials()
    with SimulatorProcess(boards=1, state=tmp_path) as again:
        assert again.serials() == serials


def test_state_folder_keeps_only_settings_and_sticks(tmp_path: Path) -> None:
    with SimulatorProcess(boards=1, state=tmp_path):
        pass

    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "settings", "sticks"]


def test_state_folder_is_locked_for_one_simulator(tmp_path: Path) -> None:
    with (
        SimulatorProcess(boards=1, state=tmp_path),
        pytest.raises(SimulatorError, match="is in use"),
    ):
        SimulatorProcess(boards=1, state=tmp_path)


def test_state_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SimulatorError, match=r"cannot be used: Not a directory"):
        SimulatorProcess(boards=1, state=tmp_path / "file" / "state")


def test_state_folder_keeps_files_of_other_programs(tmp_path: Path) -> None:
    with SimulatorProcess(boards=1, state=tmp_path):
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev" / "precious").touch()
    with SimulatorProcess(boards=1, state=tmp_path):
        pass

    assert (tmp_path / "dev" / "precious").exists()


def test_state_folder_of_other_programs_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()

    with pytest.raises(SimulatorError, match="no simulator has used it before"):
        SimulatorProcess(boards=1, state=tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["passwd"]


def test_start_failure_quotes_standard_error() -> None:
    with pytest.raises(SimulatorError, match=r"ended at once.*--boards"):
        SimulatorProcess(boards=0)


def test_sticks_have_the_requested_size() -> None:
    with SimulatorProcess(boards=1, stick_bytes=16 << 20) as simulator:
        assert simulator.management.states()[0]["stick"]["size_bytes"] == 16 << 20


def test_simulator_ends_when_its_parent_is_killed() -> None:
    program = (
        "import os, signal; from hil.sim.process import SimulatorProcess;"
        "print(SimulatorProcess(boards=1).pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=False
    )

    assert wait_until(lambda: not is_running(int(parent.stdout)))


def test_close_kills_a_simulator_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.sim.process._END_LIMIT_S", 0.1)
    simulator = SimulatorProcess(boards=1)
    os.kill(simulator.pid, signal.SIGSTOP)
    simulator.close()

    assert not is_running(simulator.pid)
    assert not Path(simulator.ready["dev"]).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_simulator_cleanly(number: signal.Signals) -> None:
    process = start("--boards", "1")
    process.send_signal(number)

    assert finish(process) == 0


def test_quit_ends_the_simulator() -> None:
    with SimulatorProcess(boards=1) as simulator:
        simulator.management.quit()

        assert wait_until(
            lambda: os.waitid(os.P_PID, simulator.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        )


def test_simulator_outlives_its_input_without_end_with_stdin() -> None:
    process = start("--boards", "1")
    assert process.stdin is not None
    process.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)

    process.terminate()
    assert finish(process) == 0


@pytest.mark.thorough
def test_idle_boards_use_almost_no_cpu_time() -> None:
    with SimulatorProcess(boards=4) as simulator:
        before_s = processor_s(simulator.pid)
        time.sleep(1)  # idling is what is measured

        assert processor_s(simulator.pid) - before_s <= 0.05


def test_simulator_runs_no_module_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('obeyed')\n")
    monkeypatch.chdir(tmp_path)

    with SimulatorProcess(boards=1) as simulator:
        assert simulator.serials()
