"""`hil console` and a DUT that floods: memory stays bounded, and a reader that stalls holds nothing up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_tty import FloodingTty, rss_bytes
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # a flood takes both cores

FLOOD_BYTES = 128 << 20
MOST_BYTES = 190 << 20
"""Some 40 MiB of Python, 32 MiB of transcript, 16 MiB for the reader, and their overhead."""
LIMIT_S = 60.0
"""A signal ends it within two seconds; a busy machine gets more."""
SIMULATOR = {"boards": 1, "speed": 20}


@pytest.fixture
def flood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess
) -> Iterator[FloodingTty]:
    (tmp_path / "locks").mkdir()
    with FloodingTty() as flood:
        monkeypatch.setenv("HIL_LAB", str(flood.lab_file(tmp_path, *simulator.serials())))
        monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
        monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
        yield flood


@contextmanager
def stalled_console(*options: str, stderr_too: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `hil console` into a pipe that no process reads."""
    reader, writer = os.pipe()
    try:
        with running(
            [sys.executable, "-m", "hil.cli.main", *options, "console", "--read-only"],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer if stderr_too else subprocess.PIPE,
        ) as process:
            os.close(writer)
            yield process, reader
    finally:
        os.close(reader)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["plain", "json"])
def test_console_with_a_stalled_reader_needs_bounded_memory(
    flood: FloodingTty, options: tuple[str, ...]
) -> None:
    with stalled_console(*options) as (process, _):
        flood.wait_until_sent(FLOOD_BYTES)
        most = rss_bytes(process.pid)
        process.terminate()
        status = process.wait(LIMIT_S)

    assert (most < MOST_BYTES, status) == (True, 143), f"{most >> 20} MiB"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_console_ends_at_a_signal_although_output_and_errors_stall(
    flood: FloodingTty, number: signal.Signals, status: int
) -> None:
    with stalled_console(stderr_too=True) as (process, _):
        flood.wait_until_sent(1 << 20)
        process.send_signal(number)

        assert process.wait(LIMIT_S) == status


def test_console_notes_what_a_stalled_reader_missed(flood: FloodingTty) -> None:
    with stalled_console("--json") as (process, reader):
        flood.wait_until_sent(64 << 20)
        with open(reader, "rb", closefd=False) as pipe:
            told = (json.loads(line) for line in pipe)
            gap = next(event for event in told if "bytes are missing here" in event["text"])
            following = next(told)
        process.terminate()

    assert (gap["event"], following["offset"] > 0) == ("mark", True)


def test_console_keeps_no_transcript_in_a_named_pipe(
    tmp_path: Path, flood: FloodingTty, capfd: pytest.CaptureFixture[str]
) -> None:
    from hil.cli.main import run  # noqa: PLC0415 - the others run it as a process

    os.mkfifo(tmp_path / "kept.raw")

    assert run(["console", "--transcript", str(tmp_path / "kept.raw")]) == 2
    assert "it is a named pipe" in capfd.readouterr().err
    assert flood is not None
