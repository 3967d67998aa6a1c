"""What the lab file of an exporter's host says of a place holds for runs from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from exporters import wait_for
from jumpstarter_fixtures import lab_exporter
from lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from certificates import Certificate
    from controller import Controller

    from hil.sim.control_client import ControlClient
    from hil.sim.process import SimulatorProcess

WORDS = """
watch = ["Linux version 6"]
safe = "leave"
power_on = "p1,w3"
"""

pytestmark = pytest.mark.timeout(240)


def test_the_words_of_an_exporters_lab_file_hold_for_a_run(  # noqa: PLR0913, PLR0917 - fixtures
    tmp_path: Path,
    client: Path,
    controller: Controller,
    control: ControlClient,
    certificate: Certificate,
    simulator: SimulatorProcess,
    boards: list[str],
) -> None:
    with lab_exporter(controller, certificate, simulator, tmp_path, 2, boards[2], words=WORDS):
        wait_for("it is free", lambda: controller.exporters["lab2"].free)
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
