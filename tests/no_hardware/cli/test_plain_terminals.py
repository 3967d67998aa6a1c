"""All verbs in the C locale, with TERM=dumb, NO_COLOR and 60 columns, at a terminal and without one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.cli.main import cli
from hil.dutlink.timing import Deadline
from hil.sim.dut.image import build_image
from tests.no_hardware.cli.commands_below import commands_below
from tests.support.programs import running

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess


pytestmark = [pytest.mark.thorough, pytest.mark.timeout(900)]  # a process with all verbs in each test
LIMIT_S = 600.0
HIL = [sys.executable, "-m", "hil.cli.main"]
HELP, LEAVE = b"\x1e", b"\x1d"
DUT_SPEAKS = b"hil boot ROM"
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
PLACES = {
    "C locale": ASCII,
    "dumb terminal": {"TERM": "dumb"},
    "no colour": {"NO_COLOR": "1"},
    "60 columns": {"COLUMNS": "60"},
}
HELPS = [f"{' '.join(path.split()[1:])} --help".strip() for path, _ in commands_below(cli, "hil")]
VERBS = [
    *HELPS,
    "--version",
    "help power",
    "settings set name Küche",
    "boards",
    "power on",
    "power on",
    "power read",
    "--json power read",
    "power cycle --pause 0",
    "power off",
    "pins set a low",
    "pins get",
    "pins float",
    "settings get",
    "flash product.img --then off",
    "flash product.img --then host",
    "flash Küche.img",
    "read kept.img --size 1M",
    "storage off",
    "lease -- true",
    "safe",
    "history new",
    "report",
    "nightly status",
    "completion bash",
    "completion fish",
    "console --read-only --transcript /nonexistent/file",
    "powr",
    "boards --nonsense",
    "power read --board Kücche",
    "power read --board Küche",
    "sim --end-with-stdin",
    "--json sim --end-with-stdin",
    "sim state",
    "sim fault {serial} late seconds=0",
    "sim fault {serial} nonsense",
    "sim clear {serial}",
    "sim log {serial} --since 100000",
    "doctor",
    "doctor --quick --board Küche",
    "--json doctor --quick",
    "init new",
    "init new",
    "init -- true",
    "init -- /nonexistent",
    "udev",
    "udev --install --root image",
    "enroll",
    "enroll --dry-run --listen 0",
    "enroll --yes --listen 0 --file lab.toml",
    "enroll --yes --listen 0 --file lab.toml",
    "boards",
]
PROGRAM = """
import sys
from hil.cli.main import run
for line in sys.argv[1:]:
    print("$ hil", ascii(line), flush=True)
    try:
        status = run(line.split())
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    print("ended with", status, flush=True)
"""
SIMULATOR = {"boards": 1, "speed": 50, "stick_bytes": 8 << 20}


@pytest.fixture
def environ(simulator: SimulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    Path("image").mkdir()
    build_image(Path("product.img"), "product", 8 << 20)
    ours = ("HIL_", "LC_", "LANG", "TERM", "COLUMNS", "PYTEST_", "COV", "NO_COLOR")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    return {**kept, "HIL_BOARDS": f"sim@{simulator.management.port}", "HIL_LOCK_DIR": str(tmp_path / "locks")}


def all_said(environ: dict[str, str], serial: str, output: int, descriptor: int) -> str:
    """Run all verbs in one process and return what came out of the other end of its output."""
    command = [sys.executable, "-c", PROGRAM, *(verb.format(serial=serial) for verb in VERBS)]
    process = subprocess.Popen(
        [os.fsencode(word) for word in command],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    try:
        os.close(output)
        said = read_until(descriptor)
        assert process.wait(LIMIT_S) == 0, said
    finally:
        process.kill()
        process.wait()
    return said


def hil(environ: dict[str, str], *words: str) -> None:
    command = [os.fsencode(word) for word in (*HIL, *words)]
    subprocess.run(command, env=environ, capture_output=True, check=True, timeout=LIMIT_S)


def read_until(descriptor: int, words: bytes = b"\0 never \0") -> str:
    """Return what comes until these words, or until the end."""
    said, deadline = b"", Deadline(LIMIT_S)
    while words not in said and select.select([descriptor], [], [], deadline.left_s)[0]:
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not data:
            break
        said += data
    return said.decode("utf-8", "replace")


@pytest.mark.parametrize("has_terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("place", PLACES)
def test_each_command_is_readable(
    place: str, has_terminal: bool, environ: dict[str, str], simulator: SimulatorProcess
) -> None:
    descriptor, output = os.openpty() if has_terminal else os.pipe()
    try:
        said = all_said({**environ, **PLACES[place]}, simulator.serials()[0], output, descriptor)
    finally:
        os.close(descriptor)

    lines = [line.rstrip("\r") for line in said.split("\n")]
    assert sum(line.startswith("ended with ") for line in lines) == len(VERBS), said
    assert [line for line in lines if "\x1b" in line or "Traceback" in line or "None" in line] == []


@pytest.mark.parametrize("verb", ["power read", "doctor --quick"])
def test_board_option_takes_a_name_typed_in_the_c_locale(verb: str, environ: dict[str, str]) -> None:
    hil(environ | ASCII, "settings", "set", "name", "Küche")

    hil(environ | ASCII, *verb.split(), "--board", "Küche")


@pytest.mark.parametrize("place", PLACES)
def test_console_is_readable_in_a_pipe(place: str, environ: dict[str, str]) -> None:
    hil(environ, "power", "force-off")
    with running(
        [*HIL, "console", "--power-on"],
        env={**environ, **PLACES[place]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as console:
        said = read_until(console.stdout.fileno(), DUT_SPEAKS)
        console.send_signal(signal.SIGINT)
        said += read_until(console.stdout.fileno())
        status = console.wait(LIMIT_S)

    assert (status, "hil: console of sim-1, " in said) == (130, True), said
    assert [line for line in said.splitlines() if "\x1b" in line or "Traceback" in line] == []


@pytest.mark.parametrize("place", PLACES)
def test_console_is_readable_at_a_terminal(place: str, environ: dict[str, str]) -> None:
    """The DUT's own bytes come as they are."""
    ours, theirs = os.openpty()
    hil(environ, "power", "force-off")
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with running([*HIL, "console", "--power-on"], env={**environ, **PLACES[place]}, **streams) as console:
        os.close(theirs)
        said = read_until(ours, DUT_SPEAKS)
        os.write(ours, HELP)
        said += read_until(ours, b"all other keys")
        os.write(ours, LEAVE)
        said += read_until(ours)
        assert console.wait(LIMIT_S) == 0, said
    os.close(ours)

    assert "hil: left the console of sim-1" in said
    ours_said = [line for line in said.splitlines() if line.startswith("hil: ")]
    assert [line for line in ours_said if "\x1b" in line or "Traceback" in line] == []
