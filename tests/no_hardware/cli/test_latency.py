"""A command starts fast, because it imports only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = [sys.executable, "-c", "import usb.core, click"]
HIL = [sys.executable, "-m", "hil.cli.main"]
LOADED = "import sys; from hil.cli.main import run; run({}); print(*sorted(sys.modules), file=sys.stderr)"
HEAVY = {"pytest", "jinja2", "pydantic", "tomlkit", "tqdm", "lz4", "hil.lab.guard.guard", "hil.sim.simulator"}
UNUSED = {
    "hil.dutlink.console.console",
    "hil.dutlink.power.sequence",
    "hil.dutlink.settings",
    "hil.dutlink.storage.storage",
    "hil.dutlink.console.tty",
    "hil.dutlink.dut.account",
    "hil.lab.safe_state.policy",
    "hil.lab.safe_state.record",
    "hil.flash.disk.permission",
    "hil.lab.locks.inotify",
    "hil.lab.locks.stopped_guards",
    "hil.lab.locks.wait_status",
    "hil.jumpstarter.client.remote_source",
    "hil.suite.options",
    "hil.sim.interfaces",
    "encodings.idna",
    "shlex",
    "signal",
    "unicodedata",
}
MOST_MODULES = 113
"""Limit for `hil power read` beyond `usb.core` and `click`; 112 when this was written, 85 of them of hil."""
DRIVER = {"usb.core", "hil.dutlink.board", "hil.dutlink.console.console", "hil.dutlink.storage.storage"}


@pytest.fixture(scope="module")
def boards() -> Iterator[str]:
    with SimulatorProcess(boards=1) as process:
        yield f"sim@{process.management.port}"


@pytest.mark.parametrize(
    ("typed", "unneeded"),
    [
        (["power", "read"], HEAVY | UNUSED),
        (["--help"], HEAVY | DRIVER | {"hil.cli.commands.power"}),
        (["power", "--help"], HEAVY | DRIVER | {"hil.cli.commands.console"}),
    ],
)
def test_command_imports_only_what_it_needs(typed: list[str], unneeded: set[str], boards: str) -> None:
    command = [sys.executable, "-c", LOADED.format(typed)]
    ran = subprocess.run(
        command, env={**os.environ, "HIL_BOARDS": boards}, capture_output=True, text=True, check=True
    )

    assert unneeded & set(ran.stderr.split()) == set()


def test_lab_file_is_read_without_heavy_imports(boards: str, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(
        '[place.rack]\nserial = "0df10035"\nup = "ready"\nlogin = { user = "root", prompt = "# " }\n'
        'power_on = "p1"\nsafe = "aL,w10"\nwatch = ["EXT4-fs error"]\n'
    )
    env = {**os.environ, "HIL_BOARDS": boards, "HIL_LAB": str(tmp_path / "lab.toml")}
    command = [sys.executable, "-c", LOADED.format(["power", "read"])]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=True)

    assert HEAVY & set(ran.stderr.split()) == set()
    assert "hil.lab.config.tables" in ran.stderr.split()


def test_power_read_imports_few_modules(boards: str) -> None:
    read = [sys.executable, "-c", LOADED.format(["power", "read"])]
    base = [sys.executable, "-c", "import sys, usb.core, click; print(*sys.modules, file=sys.stderr)"]
    env = {**os.environ, "HIL_BOARDS": boards}

    loaded, needed = (
        set(subprocess.run(each, env=env, capture_output=True, text=True, check=True).stderr.split())
        for each in (read, base)
    )

    assert len(loaded - needed) <= MOST_MODULES, sorted(loaded - needed)


@pytest.mark.thorough
def test_reading_the_meter_costs_little_more_than_its_libraries(
    boards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_BOARDS", boards)
    costs = [(cpu_s([*HIL, "power", "read"]), cpu_s([*HIL, "--help"]), cpu_s(BASE)) for _ in range(7)]

    read_s, help_s, base_s = (min(column) for column in zip(*costs, strict=True))
    assert read_s < 3 * base_s, "1.95 when this was written; `nox -s bench` measures it on a quiet machine"
    assert help_s < 1.5 * base_s, "1.2 when this was written"


def cpu_s(command: list[str]) -> float:
    """Return the processor time of a command, which others on the machine do not change much."""
    files = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=files)
    _, status, used = os.wait4(pid, 0)
    assert status == 0
    return used.ru_utime + used.ru_stime
