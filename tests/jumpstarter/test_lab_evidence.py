"""A run on a lab keeps the same evidence as a local run: transcripts, power traces, history."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.jumpstarter.jumpstarter_fixtures import wait_until_free
from tests.jumpstarter.lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from tests.jumpstarter.controller import Controller

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]


def test_lab_run_keeps_transcripts_power_traces_and_history(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str]
) -> None:
    wait_until_free(controller, 2)
    kept = ("--hil-report", "report", "--hil-history", "history.db")

    options = (f"--hil-client={client}", "-n", "1", *kept, "-k", "logs_in")
    with LabRun(tmp_path / "run", "jumpstarter:lab=1", options) as run:
        text = run.result()

    assert "1 passed" in text, text
    (console,) = (run.folder / "report" / "console").glob("run-*.raw")
    assert b"login: " in console.read_bytes()
    (trace,) = (run.folder / "report" / "power").glob("test_*.json")
    assert json.loads(trace.read_text())
    assert list((run.folder / "report" / "power").glob("test_*.svg"))
    assert (run.folder / "report" / "boards" / f"{boards[1]}.html").exists()
    with closing(sqlite3.connect(run.folder / "history.db")) as history:
        assert boards[1] in str(history.execute("select * from bench").fetchall())
