"""Whether a guard outlives its run in a systemd service, by KillMode, with the real systemd."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from tests.no_hardware.nightly.own_systemd import own_systemd

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.thorough  # processes
SOON_S = 60.0
HOLDER = """
import os
from pathlib import Path
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
folder = Path({folder!r})
safety = Safety("tests.support.fake_board:switch_off", {{"board": str(folder / "board")}}, limit_s=9)
lease = under_guard(acquire("5a1c0e01", folder=folder), safety)
(folder / "board").write_text("busy")  # its guard needs a moment longer
os.kill(os.getpid(), 9)
"""
UNIT = """
[Service]
Type=oneshot
KillMode={mode}
TimeoutStopSec=10
ExecStart={python} {script}
{more}
"""


@pytest.mark.parametrize(
    ("mode", "more", "lives"),
    [
        ("control-group", "", True),
        ("process", "", True),
        ("mixed", "", False),
        ("mixed", "ExecStopPost=/bin/sh -c 'echo off > {board}'", True),
    ],
)
def test_guard_in_a_service_lives_or_the_unit_makes_the_board_safe(
    tmp_path: Path, mode: str, more: str, lives: bool
) -> None:
    board, script = tmp_path / "board", tmp_path / "holder.py"
    script.write_text(HOLDER.format(folder=str(tmp_path)))
    unit = tmp_path / "run.service"
    more = more.format(board=board)
    unit.write_text(UNIT.format(mode=mode, python=sys.executable, script=script, more=more))
    with own_systemd() as systemd:
        systemd.run("cp", unit, "/etc/systemd/system/")
        systemd.run("systemctl", "daemon-reload")
        systemd.run("systemctl", "start", "run.service")

        off = until(lambda: board.read_text().strip() == "off" or None, SOON_S if lives else 5.0)

    assert bool(off) is lives
