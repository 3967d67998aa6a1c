"""Two independent runs of two users share two boards, and each sees what it waits for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hil
from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.sim.backend.backend import simulated_host
from hil.sim.process import SimulatorProcess
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.thorough  # two real runs at a time

REPOSITORY = Path(hil.__file__).parents[1]
USERS = (60_001, 60_002)
LIMIT_S = 60.0
MEETINGS = ("the-second-holds", "the-first-has-waited", "the-second-has-waited")
# A user who may not write here but may read all, as the interpreter may lie in a user's home.
AS_USER = [
    *("setpriv", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    *("--bounding-set=-all,+dac_read_search,+setpcap", "--no-new-privs"),
]
HEAD = """
import os, pytest
from pathlib import Path

FOLDER = Path(os.environ["MEETING"])

def meet(name):
    (FOLDER / name).read_text()
"""
FIRST = """
@pytest.mark.hardware(tags="left")
def test_left(power):
    power.on()

@pytest.mark.hardware(tags="right")
def test_right_after_the_other_run(power):
    power.on()
    meet("the-second-has-waited")
"""
SECOND = program(__file__, "two_users_second")


class UsersRun:
    """A run of pytest; `waits` is set when it says that it waits for a board."""

    def __init__(self, folder: Path, uid: int, source: str, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.waits = threading.Event()
        folder.mkdir()
        shutil.copy(REPOSITORY / "conftest.py", folder)
        folder.joinpath("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        folder.joinpath("test_it.py").write_text(HEAD + source, encoding="utf-8")
        os.chown(folder, uid, uid)
        command = [*AS_USER, f"--reuid={uid}", f"--regid={uid}", sys.executable, "-m", "pytest"]
        options = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:hypothesispytest", "-rA"]
        self._process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.lines.append(line)
                if "waiting for" in line:
                    self.waits.set()
        self.waits.set()

    def wait_until_it_waits(self) -> None:
        assert self.waits.wait(LIMIT_S), self.text
        assert self._process.poll() is None, self.text

    def end(self) -> int:
        status = self._process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return status

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    @property
    def text(self) -> str:
        return "".join(self.lines)


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that any user may reach, as pytest's own are for its user alone."""
    with tempfile.TemporaryDirectory(prefix="hil-users-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        folder.joinpath("locks").mkdir()
        folder.joinpath("locks").chmod(0o1777)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can be two users")
def test_two_users_who_want_each_others_board_both_finish_and_see_what_they_wait_for(
    everybodys: Path,
) -> None:
    for name in MEETINGS:
        os.mkfifo(everybodys / name)
        everybodys.joinpath(name).chmod(0o666)
    with SimulatorProcess(boards=2) as simulator:
        simulated = simulated_host(simulator.ready)
        host = Host(simulated.label, backend=simulated.backend, dev=simulated.dev, sys=simulated.sys)
        for serial, tag in zip(simulator.serials(), ("left", "right"), strict=True):
            with open_driver(host, serial) as board:
                board.settings.write(tags=tag)
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HIL_BOARDS": f"sim@{simulator.ready['control_port']}",
            "HIL_LOCK_DIR": str(everybodys / "locks"),
            "MEETING": str(everybodys),
        }
        second = UsersRun(everybodys / "second", USERS[1], SECOND, environment)
        everybodys.joinpath("the-second-holds").read_text()
        first = UsersRun(everybodys / "first", USERS[0], FIRST, environment)
        try:
            first.wait_until_it_waits()
            everybodys.joinpath("the-first-has-waited").write_text("")
            second.wait_until_it_waits()
            everybodys.joinpath("the-second-has-waited").write_text("")
            statuses = first.end(), second.end()
        finally:
            first.kill()
            second.kill()

    assert statuses == (0, 0), first.text + second.text
    assert re.search(r"60002.*test_right", first.text), first.text
    assert re.search(r"60001.*test_right_after_the_other_run", second.text), second.text
