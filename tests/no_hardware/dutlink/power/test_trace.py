"""Power traces: what is concluded from readings, on the simulated meter in simulated time, and on a board."""

from __future__ import annotations

import csv
import json
import math
import threading
import xml.etree.ElementTree as ET
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.dutlink.power import plot
from hil.dutlink.power.model import GROUP_DELAY_S, Gap, Sample
from hil.dutlink.power.reading import PowerReading
from hil.dutlink.power.sampling import PowerSampler
from hil.dutlink.power.statistics import compare, student_tail
from hil.dutlink.power.trace import PowerTrace
from hil.errors import UsageError
from hil.sim.board.cpu import Ticker
from hil.sim.board.meter import AMPS_PER_STEP, Meter
from hil.sim.dut.power_draw import EnergyCounter
from hil.sim.process import SimulatorProcess
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.dutlink.board import Board
    from tests.support.fake_bus import FakeBoard

IDLE_AMPS = 0.35
VOLTS = 5.1
METER_ERROR_AMPS = 4.5 * AMPS_PER_STEP
"""Four steps of offset and half a step of rounding."""


def samples(*watts: float, every_s: float = 0.5, amps: float | None = None) -> list[Sample]:
    drawn = [value / VOLTS if amps is None else amps for value in watts]
    return [
        Sample(index * every_s, 1e9 + index * every_s, VOLTS, amps, value)
        for index, (value, amps) in enumerate(zip(watts, drawn, strict=True))
    ]


def chance(seed: object) -> Random:
    return Random(str(seed))  # noqa: S311 - noise, no secret


def traced(draw_amps: Callable[[], float], duration_s: float, board: str) -> tuple[PowerTrace, float]:
    """Trace a DUT that changes its draw each 50 ms, in simulated time; with the true energy of the block."""
    clock = ManualClock()
    meter = Meter(Ticker(clock), chance(board), chance(f"noise {draw_amps()}"))
    energy = EnergyCounter(clock)
    trace = PowerTrace(delay_s=GROUP_DELAY_S, began_s=3.0, ended_s=3.0 + duration_s)
    before = after = 0.0
    for step in range(round((duration_s + 5) * 20)):
        now_s = step / 20
        if now_s == trace.began_s:
            before = energy.joules
        if now_s == trace.ended_s:
            after = energy.joules
        amps = draw_amps()
        volts = VOLTS if amps else 0.0
        meter.set_input(amps, volts)
        energy.change(amps, volts)
        if step % 2 == 0 and now_s >= trace.began_s:
            reading = meter.read()
            watts = round(reading.watts, 2)
            trace.samples.append(Sample(now_s, now_s, round(reading.volts, 2), round(reading.amps, 2), watts))
        clock.advance(0.05)
    return trace, after - before


def restless(rng: Random, amps: float) -> Callable[[], float]:
    """An idle DUT that wakes now and then, for a while: 15 % more for 0.2 s, a tenth of the time."""
    awake = False

    def draw() -> float:
        nonlocal awake
        awake = rng.random() < (0.75 if awake else 0.028)
        return amps * (1.15 if awake else 1.0)

    return draw


def test_mean_peak_and_energy_are_those_of_the_readings() -> None:
    trace = PowerTrace(samples(1.0, 3.0, 2.0), ended_s=1.0)

    assert (trace.energy_joules, trace.mean_watts, trace.peak.watts) == (2.25, 2.25, 3.0)


def test_energy_ignores_gaps() -> None:
    trace = PowerTrace(samples(1.0, 1.0, 9.0, 9.0), [Gap(0.5, 1.0, "silent")], ended_s=1.5)

    assert (trace.energy_joules, trace.measured_s, trace.rate_hz) == (5.0, 1.0, 2.0)


@given(st.lists(st.floats(-1, 20), min_size=2, max_size=40), st.floats(0, 4))
def test_the_energy_of_two_parts_is_that_of_the_whole(watts: list[float], cut_s: float) -> None:
    readings = samples(*watts)
    cut_s = min(cut_s, readings[-1].monotonic_s)
    parts = [
        PowerTrace(readings, began_s=start, ended_s=end)
        for start, end in ((0.0, cut_s), (cut_s, readings[-1].monotonic_s))
    ]

    whole = PowerTrace(readings).energy_joules
    sum_of_parts = sum(part.energy_joules for part in parts if part.measured_s > 0)
    assert sum_of_parts == pytest.approx(whole, abs=1e-9)


def test_trace_without_readings_raises_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot tell the energy"):
        _ = PowerTrace().energy_joules
    with pytest.raises(UsageError, match="cannot tell the power"):
        _ = PowerTrace().mean_watts


@pytest.mark.parametrize("duration_s", [0.5, 3.3, 10, 11.9])
def test_energy_of_a_dut_that_boots_in_the_block_is_exact(
    duration_s: float,
) -> None:
    steps, rng = iter(range(10_000)), chance(duration_s)

    def draw() -> float:
        at_s = next(steps, 0) / 20 - 3.0
        return (
            0.0
            if at_s < 0.1
            else 0.2
            if at_s > duration_s
            else 2.0
            if at_s > duration_s - 0.3
            else rng.random()
        )

    trace, true_joules = traced(draw, duration_s, "boots")

    error_joules = METER_ERROR_AMPS * VOLTS * duration_s + 0.05
    assert trace.measured_s == pytest.approx(duration_s)
    assert trace.energy_joules == pytest.approx(true_joules, abs=error_joules)


def test_energy_of_a_steady_dut_is_exact_with_readings_five_seconds_apart() -> None:
    trace = PowerTrace(samples(*[2.0] * 5, every_s=5.0), began_s=0.1, ended_s=19.0, delay_s=GROUP_DELAY_S)

    assert trace.energy_joules == pytest.approx(2.0 * 18.9)


def test_assert_off_accepts_the_sensor_s_noise() -> None:
    PowerTrace(samples(*[0.05] * 10, amps=0.01)).assert_off()


def test_assert_off_fails_for_a_dut_that_draws_current() -> None:
    with pytest.raises(AssertionError, match=r"not off: it drew 0\.35 A"):
        PowerTrace(samples(*[1.8] * 10, amps=0.35)).assert_off()


def test_assert_off_ignores_readings_that_average_over_the_time_before() -> None:
    PowerTrace(samples(1.8, 1.3, 0.9, 0.4, 0.0, 0.0)).assert_off()


@pytest.mark.parametrize(
    ("watts", "mean"),
    [
        pytest.param([0, 0, 1, 3, 4, 5, 5, 7, 7], 6.0, id="switched on"),
        pytest.param([5, 5, 5, 5, 5, 6, 7, 6, 6, 5, 3, 1, 0, 0], 6.0, id="switched off"),
        pytest.param([0, 0, 2, 4, 4, 2, 0, 0, 0, 0], None, id="on for too short a time"),
        pytest.param([0, 0, 0, 0, 0, 0, 0], None, id="never on"),
        pytest.param([5, 5, 5, 5, 6, 6, 6], 6.0, id="on all the time"),
        pytest.param([], None, id="no reading"),
    ],
)
def test_mean_while_on_leaves_out_what_averages_over_a_change(watts: list[float], mean: float | None) -> None:
    trace = PowerTrace(samples(*watts), ended_s=60.0)

    assert trace.mean_watts_on == mean


def test_assert_off_refuses_a_trace_without_settled_readings() -> None:
    with pytest.raises(UsageError, match=r"none of \d+ readings is settled"):
        PowerTrace(samples(0.0, 0.0, 0.0)).assert_off()


def test_assert_off_refuses_a_tolerance_below_a_step_of_the_sensor() -> None:
    with pytest.raises(UsageError, match="cannot tell"):
        PowerTrace(samples(*[0.0] * 6)).assert_off(tolerance_amps=0.001)


def test_error_of_a_short_trace_tells_how_long_its_block_took_and_how_long_readings_settle() -> None:
    trace = PowerTrace(samples(1.0, 1.0, 1.0), ended_s=1.0)

    with pytest.raises(UsageError) as raised:
        trace.assert_mean_below(2.0)

    assert raised.value.what == "none of 3 readings is settled, as this trace needs for its power"
    assert raised.value.why == "they settle 2 s after the block's beginning, and it took 1.0 s"
    assert "longer than 2 s" in raised.value.remedy


def test_settled_leaves_out_readings_right_after_a_gap() -> None:
    trace = PowerTrace(samples(*[1.0] * 10), [Gap(2.0, 2.5, "silent")])

    assert [sample.monotonic_s for sample in trace.settled] == [2.0, 4.5]


def test_assert_mean_below_compares_the_mean() -> None:
    trace = PowerTrace(samples(*[1.5] * 8))

    trace.assert_mean_below(1.6)
    with pytest.raises(AssertionError, match=r"1\.500 W on average"):
        trace.assert_mean_below(1.5)


def test_assert_mean_below_fails_for_nan() -> None:
    trace = PowerTrace(samples(*[0.0] * 8))

    with pytest.raises(AssertionError, match="not less than nan W"):
        trace.assert_mean_below(math.nan)
    with pytest.raises(UsageError, match="cannot tell nan A"):
        trace.assert_off(math.nan)


@pytest.mark.parametrize("every_s", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_trace_refuses_an_invalid_interval(every_s: float) -> None:
    with pytest.raises(UsageError, match="cannot be traced every"):
        PowerSampler(lambda: PowerReading(VOLTS, 0.0, 0.0), every_s, 0.0, exact_energy=False)


@pytest.mark.parametrize(
    ("t", "freedom", "probability"), [(0, 5, 0.5), (2.228, 10, 0.025), (-1, 1, 0.75), (3.29, 1e6, 5.01e-4)]
)
def test_student_tail_agrees_with_tables(t: float, freedom: float, probability: float) -> None:
    assert student_tail(t, freedom) == pytest.approx(probability, rel=2e-3)


@given(st.floats(-50, 50), st.floats(1, 1000))
def test_student_tail_is_symmetric(t: float, freedom: float) -> None:
    assert math.isclose(student_tail(t, freedom) + student_tail(-t, freedom), 1, abs_tol=1e-9)


def test_compare_counts_correlated_readings_for_less() -> None:
    slow = [math.sin(index / 5) for index in range(60)]
    quick = [slow[index * 23 % 60] for index in range(60)]

    assert compare(slow, slow, 0.0).effective < compare(quick, quick, 0.0).effective / 3


@pytest.mark.parametrize("watts", [0.5, 1.77, 1.79, 3.3])
def test_compare_finds_a_rise_of_a_tenth_in_equal_readings(watts: float) -> None:
    outcome = compare([round(1.1 * watts, 2)] * 14, [watts] * 14, least_watts=0.0155)

    assert outcome.rose
    assert outcome.effective == outcome.baseline_effective == pytest.approx(14)


def test_compare_finds_a_rise_of_a_tenth_in_readings_that_drift_by_a_step() -> None:
    baseline, higher = [1.77] * 14, [1.94] * 5 + [1.95] + [1.96] * 8

    assert compare(higher, baseline, least_watts=0.0155).rose
    assert compare(baseline, higher, least_watts=0.0155).fell


def test_compare_ignores_less_than_a_step_of_the_sensor() -> None:
    assert not compare([1.01] * 20, [1.0] * 20, least_watts=0.0155).rose


def test_compare_refuses_short_traces() -> None:
    trace = PowerTrace(samples(*[1.0] * 8))

    with pytest.raises(UsageError, match="too short"):
        trace.compare(trace)


@pytest.mark.thorough  # five seconds of arithmetic
def test_compare_finds_a_rise_of_a_tenth_with_less_than_1_percent_false_alarms() -> None:
    false_alarms = missed = 0
    for run in range(200):
        rng = chance(run)
        baseline, _ = traced(restless(rng, IDLE_AMPS), 30, f"board {run}")
        same, _ = traced(restless(rng, IDLE_AMPS), 30, f"board {run}")
        higher, _ = traced(restless(rng, IDLE_AMPS * 1.1), 30, f"board {run}")
        alike = same.compare(baseline)
        false_alarms += alike.rose or alike.fell
        missed += not higher.compare(baseline).rose

    assert false_alarms < 2
    assert missed < 2  # a row that seems correlated by chance counts for little, and so is not called


@pytest.mark.parametrize("board", [f"board {number}" for number in range(12)])
def test_energy_is_exact_within_the_meter_s_error(board: str) -> None:
    duration_s = 20.0

    trace, true_joules = traced(restless(chance(board), IDLE_AMPS), duration_s, board)

    assert trace.measured_s == pytest.approx(duration_s)
    error_joules = METER_ERROR_AMPS * VOLTS * duration_s + 0.3 * IDLE_AMPS * VOLTS  # and two restless edges
    assert abs(trace.energy_joules - true_joules) <= error_joules


def test_plot_names_its_axes_and_shows_the_gap(tmp_path: Path) -> None:
    trace = PowerTrace(samples(1.0, 1.2, 1.1, 0.0, 0.0), [Gap(1.0, 1.5, "<silent>")], ended_s=2.0)

    trace.plot(tmp_path / "trace.svg")

    svg = ET.parse(tmp_path / "trace.svg").getroot()  # noqa: S314 - written just now
    words = [element.text for element in svg.iter() if element.tag.endswith("}text")]
    lines = [element for element in svg.iter() if element.tag.endswith("}polyline")]
    assert {"time / s", "power / W"} <= set(words)
    assert (len(lines), [e.get("class") for e in svg.iter() if e.get("class") == "gap"]) == (2, ["gap"])


@pytest.mark.parametrize("readings", [0, 1])
def test_plot_draws_a_trace_with_hardly_any_readings(readings: int) -> None:
    ET.fromstring(plot.to_svg(PowerTrace(samples(*[1.0] * readings))))  # noqa: S314 - written just now


@pytest.mark.thorough
def test_plot_of_ten_hours_is_small_and_shows_the_peaks() -> None:
    watts = [1.0] * 360_000
    watts[200_000] = 5.0

    svg = plot.to_svg(PowerTrace(samples(*watts, every_s=0.1)))

    assert len(svg) < 500_000
    assert svg.count(",20.0 ") == 1  # the plot's upper edge


def test_plot_accepts_a_path_as_text(tmp_path: Path) -> None:
    PowerTrace(samples(1.0)).plot(f"{tmp_path}/one.svg")
    PowerTrace(samples(1.0)).to_csv(f"{tmp_path}/one.csv")

    assert {path.name for path in tmp_path.iterdir()} == {"one.svg", "one.csv"}


def test_plot_refuses_other_kinds_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be drawn"):
        PowerTrace().plot(tmp_path / "trace.gif")


def test_to_csv_writes_every_reading(tmp_path: Path) -> None:
    PowerTrace(samples(1.0, 2.0)).to_csv(tmp_path / "trace.csv")

    with (tmp_path / "trace.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["monotonic_s"], row["watts"]) for row in rows] == [("0.0", "1.0"), ("0.5", "2.0")]


def test_to_data_is_json() -> None:
    data = json.loads(json.dumps(PowerTrace(samples(1.0, 2.0), [Gap(0.5, 0.9, "x")]).to_data()))

    assert (len(data["samples"]), data["gaps"][0]["why"]) == (2, "x")


def wait_for(true: Callable[[], object]) -> None:
    tick = threading.Event()
    for _ in range(6000):
        if true():
            return
        tick.wait(0.01)
    pytest.fail("it did not happen within a minute")


def test_trace_reads_the_meter_while_the_block_runs(board: Board, fake: FakeBoard) -> None:
    fake.power = b"5.35W 5.10V 1.05A"

    with board.power.trace(every_s=0.01, offset_amps=0.05) as trace:
        wait_for(lambda: len(trace.samples) >= 3)

    asked = len(fake.requests)
    assert trace.samples[0].amps == pytest.approx(1.0)
    assert trace.samples[0].watts == pytest.approx(5.095)
    assert not any(thread.name == "hil-power-trace" for thread in threading.enumerate())
    assert len(fake.requests) == asked


def test_trace_has_a_gap_for_garbled_replies(board: Board, fake: FakeBoard) -> None:
    fake.power = b"?"

    with board.power.trace(every_s=0.01) as trace:
        wait_for(lambda: len(fake.requests) >= 3)

    assert trace.samples == []
    assert "'?'" in trace.gaps[0].why


def test_trace_refuses_to_be_quicker_than_the_meter(board: Board) -> None:
    with pytest.raises(UsageError, match=r"0\.01 s"):
        board.power.trace(every_s=0.001)


def test_energy_is_counted_to_the_block_s_end_and_settled_readings_are_of_the_block(
    board: Board, fake: FakeBoard
) -> None:
    fake.power = b"5.35W 5.10V 1.05A"

    with board.power.trace(every_s=0.01) as trace:
        wait_for(lambda: len(trace.samples) >= 3)

    assert trace.ended_s is not None
    assert trace.samples[-1].monotonic_s > trace.ended_s + 0.9
    assert all(sample.monotonic_s <= trace.ended_s for sample in trace.settled)


@pytest.mark.thorough
def test_a_trace_across_a_power_sequence_has_a_gap_and_the_true_energy_elsewhere() -> None:
    with (
        SimulatorProcess(boards=1) as simulator,
        open_driver(simulated_host(simulator.ready), console=False) as board,
    ):
        board.settings.write(power_on="p1,w15")
        with board.power.trace() as sequence:
            wait_for(lambda: len(sequence.samples) >= 3)
            board.power.on()
        threading.Event().wait(2.5)  # the meter settles, and the DUT waits in its boot log
        before = simulator.management.state(board.serial)["energy_joules"]
        with board.power.trace(exact_energy=True) as trace:
            threading.Event().wait(3)
            after = simulator.management.state(board.serial)["energy_joules"]

    assert len(sequence.gaps) == 1
    assert sequence.gaps[0].to_s - sequence.gaps[0].from_s > 1.4
    error_joules = METER_ERROR_AMPS * VOLTS * trace.measured_s + 0.3
    assert trace.energy_joules == pytest.approx(after - before, abs=error_joules)
