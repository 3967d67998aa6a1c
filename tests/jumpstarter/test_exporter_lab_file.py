"""The lab file of an exporter's host applies to runs on other hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.jumpstarter.exporters import wait_for
from tests.jumpstarter.lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.controller import Controller
    from tests.jumpstarter.jumpstarter_fixtures import StartThird

PLACE_LINES = """
watch = ["Linux version 6"]
safe = "leave"
power_on = "p1,w3"
"""

pytestmark = pytest.mark.timeout(240)


def test_exporter_lab_file_applies_to_a_remote_run(  # noqa: PLR0913, PLR0917 - fixtures
    third: StartThird,
    tmp_path: Path,
    client: Path,
    controller: Controller,
    control: ManagementClient,
    boards: list[str],
) -> None:
    with third(place_lines=PLACE_LINES):
        with LabRun(
            tmp_path / "run", "jumpstarter:lab=2", (f"--hil-client={client}", "-k", "logs_in")
        ) as run:
            text = run.result()

        assert "trouble that this test does not expect" in text, text
        assert "Linux version 6" in text, text
        assert "stores power_on = '', the lab file has 'p1,w3'" in text, text
        assert "SIMULATED: 1 test ran" in text, text
        wait_for("the lease has ended", lambda: not controller.active())
        assert control.state(boards[2])["supply"]
