"""A first day at a bench, typed at a terminal: look, enroll, flash, test, run nights, read what they say."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from hil.lab.config.lab_file import read_lab
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess

pexpect = pytest.importorskip("pexpect", reason="it types at a terminal")

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(900)]  # processes, and two nights
ROOT = Path(__file__).parents[3]
PROMPT = "bench> "
STEP_S = 300
LOGIN = 'login = { user = "root", password = "hil" }'
FIRST_TEST = '''
"""My first test on a board."""


def test_dut_lets_me_in(dutlink, power, storage, console):
    storage.dut()
    power.on()
    dutlink.wait_until_up()
    console.login()

    assert console.run("echo hello").output == "hello"
'''


class Terminal:
    """A person at a terminal.

    Args:
        folder: Where they sit.
        environ: Their environment.
    """

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        plain = ["--norc", "--noprofile", "--noediting"]
        looks = {"encoding": "utf-8", "dimensions": (50, 140)}
        self._shell = pexpect.spawn("bash", plain, cwd=str(folder), env=environ, timeout=STEP_S, **looks)
        self._shell.expect_exact(PROMPT)

    def type(self, command: str, *answers: tuple[str, str]) -> tuple[int, str]:
        """Type a command, answer its questions, and return its exit status and what was on the screen."""
        self._shell.sendline(command)
        screen = ""
        for question, answer in answers:
            self._shell.expect(question)
            screen += self._shell.before + self._shell.after
            self._shell.sendline(answer)
        self._shell.expect_exact(PROMPT)
        screen += self._shell.before
        self._shell.sendline("echo status=$?")
        self._shell.expect(r"status=(\d+)\r\n")
        status = int(self._shell.match[1])
        self._shell.expect_exact(PROMPT)
        return status, screen.replace("\r\n", "\n")

    def close(self) -> None:
        self._shell.close(force=True)


def an_environment(folder: Path, simulator: SimulatorProcess) -> dict[str, str]:
    """A new user's: `hil` and `pytest` on the path, and nothing that this run was told."""
    programs = folder / "bin"
    programs.mkdir()
    for name, module in (("hil", "hil.cli.main"), ("pytest", "pytest")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        program.chmod(0o755)
    ours = ("PYTEST_", "HIL_", "COV")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HIL_BOARDS": f"sim@{simulator.management.port}",
        "HIL_LOCK_DIR": str(folder / "locks"),
        "HOME": str(folder),
        "TERM": "xterm",
        "PS1": PROMPT,
        "HISTFILE": "",
    }


def edit(file: Path, old: str, new: str) -> None:
    """Change a file, as in an editor."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_first_day(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "first-day"\nversion = "1"\n')
    shutil.copy(ROOT / "conftest.py", project)
    build_image(project / "dut.img", "demo-1")
    with SimulatorProcess(boards=2, speed=5) as simulator:
        terminal = Terminal(project, an_environment(tmp_path, simulator))
        try:
            the_day(terminal, project, simulator)
        finally:
            terminal.close()
        truths = [simulator.management.state(serial) for serial in simulator.serials()]

    assert [truth["supply"] for truth in truths] == [False, False]


def the_day(terminal: Terminal, project: Path, simulator: SimulatorProcess) -> None:
    left, right = simulator.serials()

    status, screen = terminal.type("hil doctor")
    assert (status, "no problem, " in screen) == (0, True), screen

    status, screen = terminal.type(
        "hil enroll",
        (f"Name of the place of board sim-. \\({left}\\) .*: ", "left"),
        ("Its tags, separated by commas: ", "demo"),
        (r"Store on board .*\]: ", "y"),
        (f"Name of the place of board sim-. \\({right}\\) .*: ", "right"),
        ("Its tags, separated by commas: ", ""),
        (r"Store on board .*\]: ", "n"),
        (r"Write .*lab.toml\? .*: ", "y"),
    )
    assert (status, "+[place.left]" in screen) == (0, True), screen
    assert [place.serial for place in read_lab(project / "lab.toml").places.values()] == [left, right]
    assert simulator.management.state(left)["settings"]["name"] == "left"
    assert simulator.management.state(right)["settings"]["name"] == ""

    for name in ("left", "right"):
        edit(project / "lab.toml", f"[place.{name}]\n", f"[place.{name}]\n{LOGIN}\n")
        status, screen = terminal.type(f"hil flash dut.img --board {name}")
        assert (status, "and verified it" in screen) == (0, True), screen

    status, screen = terminal.type("hil boards")
    assert (status, screen.count("present"), screen.count(" ok")) == (0, 2, 2), screen
    assert " dut " in screen

    (project / "tests/test_first.py").write_text(FIRST_TEST)
    status, screen = terminal.type("pytest -q")
    assert (status, "1 passed" in screen) == (0, True), screen

    status, screen = terminal.type("hil nightly run --simulated")
    assert (status, "green" in screen) == (0, True), screen
    status, screen = terminal.type("hil history")
    assert (status, "1 passed" in screen) == (0, True), screen

    edit(project / "tests/test_first.py", '"hello"', '"goodbye"')
    status, screen = terminal.type("hil nightly run --simulated")
    assert (status, "tests failed" in screen) == (1, True), screen
    status, screen = terminal.type("hil history")
    assert (status, "test_dut_lets_me_in" in screen) == (0, True), screen
    status, screen = terminal.type("hil report nightly/report")
    assert (status, "of 2 runs" in screen) == (0, True), screen
    page = (project / "nightly/report/index.html").read_text(encoding="utf-8")
    assert "test_dut_lets_me_in" in page

    status, screen = terminal.type("hil boards")
    assert (status, screen.count("off, 0.00 W")) == (0, 2), screen
