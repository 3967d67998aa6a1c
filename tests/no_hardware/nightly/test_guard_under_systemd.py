"""Whether a guard outlives its run in a systemd service, by KillMode, with the real systemd."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from tests.no_hardware.nightly.own_systemd import own_systemd
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.no_hardware.nightly.own_systemd import OwnSystemd

pytestmark = pytest.mark.thorough  # processes
SOON_S = 60.0
HOLDER = program(__file__, "guard_under_systemd_holder")
UNIT = """
[Service]
Type=oneshot
KillMode={mode}
TimeoutStopSec=10
ExecStart={python} {script} {board}
{more}
"""


def start_service(systemd: OwnSystemd, folder: Path, *, mode: str, board: str, more: str = "") -> None:
    """Run a service whose process leaves its guard a board in the state `board`."""
    script, unit = folder / "holder.py", folder / "run.service"
    script.write_text(HOLDER)
    unit.write_text(UNIT.format(mode=mode, python=sys.executable, script=script, board=board, more=more))
    systemd.run("cp", unit, "/etc/systemd/system/")
    systemd.run("systemctl", "daemon-reload")
    systemd.run("systemctl", "start", "run.service")


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("control-group", ""),
        ("process", ""),
        ("mixed", "ExecStopPost=/bin/sh -c 'echo off > {board}'"),
    ],
)
def test_guard_in_a_service_lives_or_the_unit_makes_the_board_safe(
    tmp_path: Path, mode: str, more: str
) -> None:
    board = tmp_path / "board"
    with own_systemd() as systemd:
        # A busy board is not safe after the first attempt: the guard has to live a moment longer.
        start_service(systemd, tmp_path, mode=mode, board="busy", more=more.format(board=board))

        assert until(lambda: board.read_text().strip() == "off", SOON_S)


def test_guard_in_a_service_of_mode_mixed_is_killed(tmp_path: Path) -> None:
    with own_systemd() as systemd:
        # A guard goes on trying while its board is silent: it does not end by itself.
        start_service(systemd, tmp_path, mode="mixed", board="silent")
        guard = (tmp_path / "guard").read_text()

        assert until(lambda: systemd.run("sh", "-c", f"kill -0 {guard}").returncode, SOON_S)
    assert (tmp_path / "board").read_text() == "silent"
