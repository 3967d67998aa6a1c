"""Progress lines for a log: few lines with size, rate and time left."""

from __future__ import annotations

import pytest

from hil.flash.progress import ProgressLines, size_text

MIB = 1 << 20


class Log:
    """Lines, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now_s = 100.0
        self.progress = ProgressLines(self.lines.append, lambda: self.now_s)

    def work(self, steps: int, step_bytes: int, step_s: float) -> None:
        for _ in range(steps):
            self.now_s += step_s
            self.progress.advance(step_bytes)


@pytest.fixture
def log() -> Log:
    return Log()


def test_progress_lines_come_every_ten_per_cent(log: Log) -> None:
    log.progress.begin("write", 1000 * MIB)
    log.work(1000, MIB, 0.1)
    log.progress.end()

    assert [line.split(",")[0] for line in log.lines] == [
        *(f"write: {percent} % of 1000.0 MiB" for percent in range(10, 100, 10)),
        "write: 1000.0 MiB in 100.0 s",
    ]


def test_progress_lines_tell_rate_and_time_left(log: Log) -> None:
    log.progress.begin("write", 1000 * MIB)
    log.work(100, MIB, 0.1)

    assert log.lines == ["write: 10 % of 1000.0 MiB, 10.0 MiB/s, 1 min 30 s left"]


def test_progress_lines_of_a_short_phase_are_one_line(log: Log) -> None:
    log.progress.begin("verify", 10 * MIB)
    log.work(10, MIB, 0.05)
    log.progress.end()

    assert log.lines == ["verify: 10.0 MiB in 0.5 s, 20.0 MiB/s"]


def test_progress_lines_tell_no_rate_of_a_phase_that_took_no_time(log: Log) -> None:
    log.progress.begin("write", 7 * MIB)
    log.work(1, 7 * MIB, 0.01)
    log.progress.end()

    assert log.lines == ["write: 7.0 MiB in 0.0 s"]


def test_progress_lines_without_a_total_come_every_ten_seconds(log: Log) -> None:
    log.progress.begin("write", None)
    log.work(25, MIB, 1)

    assert log.lines == ["write: 10.0 MiB, 1.0 MiB/s", "write: 20.0 MiB, 1.0 MiB/s"]


def test_progress_lines_tell_at_once_that_the_stick_is_waited_for(log: Log) -> None:
    log.progress.begin("stick", None)
    told = list(log.lines)
    log.progress.end()

    assert len(told) == 1
    assert told[0].startswith("waiting for the stick")
    assert log.lines == told


def test_progress_lines_restart_with_each_phase(log: Log) -> None:
    log.progress.begin("write", 10 * MIB)
    log.work(10, MIB, 2)
    log.progress.end()
    log.lines.clear()
    log.progress.begin("verify", 10 * MIB)
    log.work(1, MIB, 2)

    assert log.lines == ["verify: 10 % of 10.0 MiB, 512.0 KiB/s, 18 s left"]


def test_progress_lines_are_silent_if_nothing_was_done(log: Log) -> None:
    log.progress.begin("compare", 10 * MIB)
    log.progress.end()

    assert log.lines == []


def test_progress_lines_are_silent_after_an_early_difference(log: Log) -> None:
    log.progress.begin("compare", 10 * MIB)
    log.work(1, MIB, 0.1)
    log.progress.end()

    assert log.lines == []


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * MIB, "5.0 MiB"), (3 << 40, "3072.0 GiB")],
)
def test_size_text_uses_the_fitting_unit(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text
