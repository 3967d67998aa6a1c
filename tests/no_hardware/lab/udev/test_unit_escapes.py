"""Escapes of commands and variables in systemd's unit files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hil.lab.udev.safe_unit import unit_text
from hil.lab.udev.unit_escapes import assignment, command_line

ODD = "/srv/$HOME ${x} 100% \"a\" b\\c 'd'"
NEEDS_SYSTEMD = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")


def test_assignment_leaves_dollar_signs_alone() -> None:
    assert assignment("HIL_LAB", ODD) == r'''"HIL_LAB=/srv/$HOME ${x} 100%% \"a\" b\\c 'd'"'''


def test_command_line_doubles_dollar_signs() -> None:
    assert command_line("/bin/true", "$HOME", "50%") == '/bin/true "$$HOME" 50%%'


def test_unit_text_escapes_the_lock_folder() -> None:
    assert 'Environment="HIL_LOCK_DIR=/srv/$one %%i"\n' in unit_text(
        Path("/bin/true"), lock_folder="/srv/$one %i"
    )


@NEEDS_SYSTEMD
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "hil-safe@.service"
    unit.write_text(unit_text(Path("/bin/true"), lock_folder=ODD))

    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert "nvironment" not in told.stderr
