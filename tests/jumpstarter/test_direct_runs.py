"""Runs of the suite on a direct exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.jumpstarter.exporters import PASSPHRASE
from tests.jumpstarter.lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from tests.jumpstarter.certificates import Certificate
    from tests.jumpstarter.exporters import DirectExporter

pytestmark = pytest.mark.timeout(240)


def test_workers_share_the_one_board_of_a_direct_exporter(
    tmp_path: Path, mortal: DirectExporter, certificate: Certificate, boards: list[str]
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE, encoding="utf-8")
    there = f"jumpstarter+direct://{mortal.address}?ca={certificate.certificate}&passphrase={secret}"
    options = ("-n", "2", "-k", "any or red or no_board")

    with LabRun(tmp_path / "run", there, options, cases="case_requirements.py") as run:
        text = run.result()

    assert "5 passed, 3 skipped" in text, text
    assert "DUTLink not available: no board tagged red" in text, text
    assert {sign.read_text() for sign in run.signs.glob("any-*")} == {boards[1]}
