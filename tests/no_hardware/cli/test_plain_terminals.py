"""All verbs in the C locale, with TERM=dumb, NO_COLOR and 60 columns, at a terminal and without one."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.cli.common_options import commands_below
from hil.cli.main import cli
from hil.dutlink.timing import Deadline
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(900)]  # a process with all verbs in each test
LIMIT_S = 600.0
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


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=1, speed=50, stick_bytes=8 << 20) as simulator:
        yield simulator


@pytest.fixture
def environ(simulator: SimulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    build_image(Path("product.img"), "product", 8 << 20)
    ours = ("HIL_", "LC_", "LANG", "TERM", "COLUMNS", "PYTEST_", "COV", "NO_COLOR")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    return {**kept, "HIL_BOARDS": f"sim@{simulator.control.port}", "HIL_LOCK_DIR": str(tmp_path / "locks")}


def all_said(environ: dict[str, str], output: int, descriptor: int) -> str:
    """Run all verbs in one process and return what came out of the other end of its output."""
    command = [sys.executable, "-c", PROGRAM, *VERBS]
    said, deadline = b"", Deadline(LIMIT_S)
    process = subprocess.Popen(
        [os.fsencode(word) for word in command],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    try:
        os.close(output)
        while not deadline.passed and select.select([descriptor], [], [], deadline.left_s)[0]:
            try:
                data = os.read(descriptor, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not data:
                break
            said += data
        assert process.wait(max(1.0, deadline.left_s)) == 0, said.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
    return said.decode("utf-8", "replace")


@pytest.mark.parametrize("has_terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("place", PLACES)
def test_each_verb_is_readable(place: str, has_terminal: bool, environ: dict[str, str]) -> None:
    descriptor, output = os.openpty() if has_terminal else os.pipe()
    try:
        said = all_said({**environ, **PLACES[place]}, output, descriptor)
    finally:
        os.close(descriptor)

    lines = [line.rstrip("\r") for line in said.split("\n")]
    assert sum(line.startswith("ended with ") for line in lines) == len(VERBS), said
    assert [line for line in lines if "\x1b" in line or "Traceback" in line or "None" in line] == []
