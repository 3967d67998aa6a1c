from __future__ import annotations

import pytest

from hil.dutlink.console import tty_reader
from hil.dutlink.console.tty_reader import BACKLOG_REST_S, LONGEST_REST_S, ReadPacing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is; the first entry counts."""
    now = [100.0]
    monkeypatch.setattr(tty_reader.time, "monotonic", lambda: now[0])
    return now


def rests(pace: ReadPacing, clock: list[float], reads: int, size_bytes: int = 64) -> list[float]:
    taken = []
    for _ in range(reads):
        taken.append(pace.rest_s(size_bytes, is_ahead=False))
        clock[0] += taken[-1]
    return taken


def test_rest_s_is_zero_after_a_silence(clock: list[float]) -> None:
    assert rests(ReadPacing(115200), clock, 1) == [0.0]


def test_rest_s_grows_to_a_limit_while_bytes_keep_coming(clock: list[float]) -> None:
    taken = rests(ReadPacing(115200), clock, 20)

    assert taken == sorted(taken)
    assert taken[-1] == LONGEST_REST_S


def test_rest_s_starts_again_after_a_silence(clock: list[float]) -> None:
    pace = ReadPacing(115200)
    rests(pace, clock, 20)
    clock[0] += 1.0

    assert rests(pace, clock, 1) == [0.0]


def test_rest_s_is_zero_after_a_full_read(clock: list[float]) -> None:
    pace = ReadPacing(115200)
    rests(pace, clock, 20)

    assert pace.rest_s(4095, is_ahead=False) == 0.0


def test_rest_s_is_short_for_a_while_after_a_late_read(clock: list[float]) -> None:
    pace = ReadPacing(115200)
    rests(pace, clock, 20)
    pace.rest_s(3500, is_ahead=False)
    late = rests(pace, clock, 20)
    clock[0] += 5.0

    assert max(late) <= LONGEST_REST_S / 5
    assert rests(pace, clock, 20)[-1] == LONGEST_REST_S


def test_rest_s_is_zero_for_single_keys(clock: list[float]) -> None:
    assert rests(ReadPacing(115200), clock, 20, size_bytes=3) == [0.0] * 20


@pytest.mark.parametrize("baud_rate", [9600, 115200, 921600, 4_000_000])
def test_rest_s_lets_no_more_gather_than_a_quarter_of_the_tty(clock: list[float], baud_rate: int) -> None:
    assert rests(ReadPacing(baud_rate), clock, 20)[-1] * baud_rate / 10 <= 1024


def test_rest_s_gives_time_to_a_test_with_a_backlog(clock: list[float]) -> None:
    assert ReadPacing(115200).rest_s(4095, is_ahead=True) == BACKLOG_REST_S
    assert clock == [100.0]
