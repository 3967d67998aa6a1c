"""`hil console` beside another reader of its tty, which it names."""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.console.tty import Tty, open_tty, users_of
from hil.errors import ConsoleBusyError
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
SIMULATOR = {"boards": 1, "speed": 5}


@pytest.fixture
def tty(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    (name,) = Path(simulator.ready["dev"], "serial/by-id").iterdir()
    return name


@pytest.fixture
def reader(tty: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has the tty open, as a user leaves one in another terminal."""
    with tty.open("rb", buffering=0) as console, running(["sleep", "600"], stdin=console) as process:
        yield process


def me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def test_tty_user_has_pid_command_and_user(tty: Path, reader: subprocess.Popen[bytes]) -> None:
    assert [str(user) for user in users_of(tty)] == [f"sleep (pid {reader.pid}, of {me()})"]


def test_console_names_other_readers_of_its_tty(reader: subprocess.Popen[bytes]) -> None:
    command = [sys.executable, "-m", "hil.cli.main", "console", "--read-only"]
    with running(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as console:
        said = [console.stderr.readline(), console.stderr.readline()]
        console.send_signal(signal.SIGINT)
        console.wait(60)

    assert any(f"sleep (pid {reader.pid}, of {me()}) reads " in line for line in said), said
    assert any(f"kill {reader.pid} ends it" in line for line in said), said


def test_console_that_is_in_use_names_its_holder(tty: Path, reader: subprocess.Popen[bytes]) -> None:
    holder = os.open(tty, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(holder, fcntl.LOCK_EX)  # as every program that asks

    with pytest.raises(ConsoleBusyError) as caught:
        open_tty(Tty(tty), "5a1c0e01")

    os.close(holder)
    assert f"sleep (pid {reader.pid}, of {me()})" in caught.value.why
    assert caught.value.remedy == f"end it: kill {reader.pid}"
