"""The meter: steps, averages, and how it writes them."""

from __future__ import annotations

import random

import pytest

from hil.sim.board.cpu import Ticker
from hil.sim.board.meter import AMPS_PER_STEP, VOLTS_PER_STEP, Meter, MovingAverage, Reading, to_float32
from tests.support.board_bench import CONFIG, IN, OUT, POWER, POWER_ON, READ, REFRESH, BoardBench
from tests.support.manual_clock import ManualClock


class Quiet(random.Random):
    """No noise, and no offset but a given one."""

    def __init__(self, offset_steps: int = 0) -> None:
        super().__init__()
        self._offset_steps = offset_steps

    def randint(self, _a: int, _b: int) -> int:
        return self._offset_steps

    def choices(self, _population: object, *_: object, k: int = 1, **__: object) -> list[int]:  # type: ignore[override]
        return [0] * k


def quiet_meter(offset_steps: int = 0) -> tuple[ManualClock, Ticker, Meter]:
    clock = ManualClock()
    ticker = Ticker(clock)
    return clock, ticker, Meter(ticker, Quiet(offset_steps), Quiet())


def test_reading_settles_after_two_seconds() -> None:
    clock, _, meter = quiet_meter()
    meter.set_input(1.0, 5.0)

    clock.advance(2.0)

    assert meter.read().amps == pytest.approx(1.0, abs=AMPS_PER_STEP / 2)
    assert meter.read().volts == pytest.approx(5.0, abs=VOLTS_PER_STEP / 2)


def test_reading_after_one_second_is_half_of_the_change() -> None:
    clock, _, meter = quiet_meter()
    meter.set_input(1.0, 5.0)

    clock.advance(1.0)

    assert meter.read().amps == pytest.approx(0.5, abs=AMPS_PER_STEP)


def test_short_pulse_counts_with_its_samples() -> None:
    clock, _, meter = quiet_meter()
    clock.advance(5.0)
    meter.set_input(1.0, 0.0)
    clock.advance(0.1)

    meter.set_input(0.0, 0.0)
    clock.advance(1.0)

    assert meter.read().amps == pytest.approx(10 / 200, abs=AMPS_PER_STEP)


def test_reading_changes_only_with_a_sample() -> None:
    clock, _, meter = quiet_meter()
    meter.set_input(1.0, 5.0)
    clock.advance(0.01)
    before = meter.read()

    clock.advance(0.009)

    assert meter.read() == before


def test_power_is_the_product_of_the_averages() -> None:
    clock, _, meter = quiet_meter()
    meter.set_input(1.0, 5.0)

    clock.advance(1.0)

    assert meter.read().watts == pytest.approx(meter.read().amps * meter.read().volts, rel=1e-6)


def test_current_is_measured_in_steps_of_3_05_milliamperes() -> None:
    clock, _, meter = quiet_meter()
    meter.set_input(0.004, 0.0)

    clock.advance(3.0)

    assert meter.read().amps == pytest.approx(0.00305, abs=1e-5)


def test_reading_beyond_the_converter_is_clipped() -> None:
    clock, _, meter = quiet_meter()
    meter.set_input(100.0, 100.0)

    clock.advance(3.0)

    assert meter.read().amps == pytest.approx(6.25, abs=0.01)
    assert meter.read().volts == pytest.approx(20.15, abs=0.01)


def test_offset_can_make_a_reading_negative() -> None:
    clock, _, meter = quiet_meter(offset_steps=-2)

    clock.advance(3.0)

    assert meter.read().amps_text() == "-0.01A"


def test_small_negative_reading_keeps_its_sign() -> None:
    assert Reading(amps=-0.003, watts=-0.0).amps_text() == "-0.00A"


def averaged(*values: float) -> Reading:
    """Feed 200 samples of each value, one after the other, and return the average."""
    average = MovingAverage()
    for value in values:
        for _ in range(200):
            average.feed(to_float32(value))
    return Reading(amps=average.get())


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1.005,), "1.01A"),
        ((2.345,), "2.35A"),
        ((1.005, 2.345), "2.34A"),
        ((1.005, 2.345, 0.0), "-0.00A"),
    ],
)
def test_average_drifts_as_a_running_sum_of_single_precision(values: tuple[float, ...], text: str) -> None:
    assert averaged(*values).amps_text() == text


def test_reading_without_current_may_be_minus_zero() -> None:
    bench = BoardBench(rng=Quiet())
    said = set()
    for amps in (1.4, 0.35, 0.62, 2.0, 0.02):
        bench.board.draw_changed(amps, 5.1)
        bench.clock.advance(3.0)
        bench.board.draw_changed(0.0, 0.0)
        bench.clock.advance(3.0)
        said.add(bench.read(READ, 1).split()[0])

    assert said == {b"0.00W", b"-0.00W"}


def test_offset_differs_between_boards_and_stays() -> None:
    def offset(serial: str) -> float:
        bench = BoardBench(serial=serial, rng=Quiet())
        bench.clock.advance(3.0)
        return float(bench.read(READ, 3).rstrip(b"A"))

    assert {offset("5a1c0e01"), offset("5a1c0e02"), offset("5a1c0e03"), offset("5a1c0e04")} != {0.0}
    assert offset("5a1c0e03") == offset("5a1c0e03")


def test_power_request_writes_watts_volts_and_amperes() -> None:
    bench = BoardBench(rng=Quiet())
    bench.board.draw_changed(1.05, 5.1)
    bench.clock.advance(3.0)

    watts, volts, amps = bench.read(READ, 1).decode().split(" ")

    assert (watts[-1], volts, amps[-1]) == ("W", "5.10V", "A")
    assert float(amps[:-1]) == pytest.approx(1.05, abs=0.02)


def test_readings_stay_as_they_were_at_the_refresh() -> None:
    bench = BoardBench()
    bench.control(OUT, REFRESH)
    bench.board.draw_changed(1.0, 5.0)

    bench.clock.advance(3.0)

    assert bench.control(IN, READ, 2, data=64).data == b"0.00V"


def test_meter_takes_no_samples_while_a_program_waits() -> None:
    bench = BoardBench(rng=Quiet())
    bench.set_config(3, b"w200")
    bench.clock.advance(3.0)
    bench.control(OUT, POWER, POWER_ON)
    bench.board.draw_changed(1.0, 5.0)

    bench.clock.advance(20.0)

    assert float(bench.read(READ, 2).rstrip(b"V")) == pytest.approx(5.0 / 200, abs=0.02)


def test_meter_starts_at_zero_after_power_loss() -> None:
    bench = BoardBench()
    bench.board.draw_changed(1.0, 5.0)
    bench.clock.advance(3.0)

    bench.board.power_loss()
    bench.board.power_up()

    assert bench.read(READ, 2) == b"0.00V"
    assert bench.control(IN, CONFIG, 0, data=4).data == bytes(4)
