"""`hil enroll`, `hil lease` and `hil boards` on a real kernel: real disks, real ttys, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hil.lab.config.lab_file import read_lab

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.attached import Bench

HIL = [sys.executable, "-m", "hil.cli.main"]
LIMIT_S = 110


def hil(folder: Path, *arguments: str) -> Any:
    """Run `hil` in a folder whose lab file counts; its answer."""
    environ = {**os.environ, "HIL_LAB": str(folder / "lab.toml")}
    ran = subprocess.run(
        [*HIL, "--json", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    file = tmp_path / "lab.toml"
    file.write_text("# ours\n")
    return file


def test_each_board_gets_the_disk_that_follows_its_own_mux(
    bench: Bench, boards: tuple[str, ...], lab: Path
) -> None:
    answer = hil(lab.parent, "enroll", "--yes")

    read = read_lab(lab)
    assert {board["console"] for board in answer["boards"]} == {"the board's own"}
    for serial in boards:
        stick = read.wiring_of(serial).stick
        assert str(stick).startswith("/dev/disk/by-path/")
        assert bench.management.state(serial)["supply"] is False
    assert lab.read_text().startswith("# ours\n")


def test_a_board_is_listed_with_what_the_host_sees_of_its_stick(serial: str, lab: Path) -> None:
    hil(lab.parent, "enroll", "--yes", "--board", serial, "--listen", "0")
    hil(lab.parent, "storage", "host", "--board", serial)
    on_host = hil(lab.parent, "boards")
    hil(lab.parent, "storage", "off", "--board", serial)
    taken_away = hil(lab.parent, "boards")

    positions = [row["position"] for rows in (on_host, taken_away) for row in rows if row["board"] == serial]
    assert positions == ["host", "off"]


def test_a_command_under_a_lease_finds_tty_and_stick_and_gets_signals(
    bench: Bench, serial: str, lab: Path
) -> None:
    script = 'test -c "$HIL_TTY" && head -c 512 "$HIL_STICK" | wc -c && exec sleep 100'
    arguments = [*HIL, "lease", "--board", serial, "--storage", "host", "--", "sh", "-c", script]
    with subprocess.Popen(arguments, cwd=lab.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        status = process.wait(LIMIT_S)

    assert (said.strip(), status) == ("512", 128 + signal.SIGTERM)
    assert bench.management.state(serial)["mux"] == "off"
