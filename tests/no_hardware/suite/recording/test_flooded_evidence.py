"""A DUT that floods fills neither the memory nor the disk of the run that keeps its console."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_tty import FloodingTty
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # runs of the suite, and a flood takes both cores

FLOODS = program(__file__, "flooded_evidence_floods")
MOST_BYTES = (
    320 << 20
)  # 64 MiB may wait for the disk, 32 MiB are the transcript's; a run has some 90 by itself


def test_a_flood_in_a_run_takes_bounded_memory_and_room_and_the_report_tells_what_is_left_out(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str, pytester: pytest.Pytester
) -> None:
    report = pytester.path / "report"
    with FloodingTty() as flood:
        lab = flood.lab_file(Path(pytester.path), serial)
        inner = run_suite(
            FLOODS,
            f"--hil-boards=sim@{simulator.management.port}",
            f"--hil-lab={lab}",
            f"--hil-report={report}",
        )

    taken = {file.name: file.stat().st_size for file in (report / "console").iterdir()}
    assert set(inner.results().values()) == {"passed"}, inner.text
    assert int(Path(pytester.path / "most").read_text()) * 1024 < MOST_BYTES
    assert sum(taken.values()) < (48 + 7 * 4) << 20  # of the run, and of three tests and what is around them
    assert inner.text.count("NOT KEPT: ") == 3
    assert "it said too much to keep it all" in inner.text
    page = next(page for page in (report / "tests").glob("*.html") if "test_floods" in page.name)
    assert "bytes are left out here: the console said too much" in page.read_text()
