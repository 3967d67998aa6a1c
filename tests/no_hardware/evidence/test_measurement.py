"""What may be a number of a test, and how it is shown."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.power.model import Sample
from hil.dutlink.power.trace import PowerTrace
from hil.errors import UsageError
from hil.evidence.measure import Measure
from hil.evidence.measurement import Measurement, check_measurement, format_quantity


@pytest.fixture
def measure() -> Measure:
    """A fixture of the same name as the suite's: the nearest one wins."""
    return Measure()


class NumpyLike(float):
    """As numpy.float64 is a float."""


@pytest.mark.parametrize(
    ("given", "kept"),
    [(3, 3.0), (Decimal("0.1"), 0.1), (Fraction(1, 4), 0.25), (NumpyLike(2.5), 2.5), (-0.0, 0.0)],
)
def test_measurement_takes_every_kind_of_number(given: Any, kept: float) -> None:
    made = check_measurement("boot", given, "s")

    assert (made, type(made.value)) == (Measurement("boot", kept, "s"), float)


@pytest.mark.parametrize(
    "value",
    [
        *(True, "12", None, b"1", 1j, [1.0], timedelta(seconds=1)),
        *(math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), 10**400, 1e100),
    ],
)
@pytest.mark.parametrize("of", ["value", "below", "above"])
def test_measurement_refuses_what_is_no_finite_number(value: Any, of: str) -> None:
    if value is None and of != "value":
        return
    facts: dict[str, Any] = {"value": 1.0, of: value}

    with pytest.raises(UsageError) as error:
        check_measurement("boot", facts["value"], "s", facts.get("below"), facts.get("above"))

    assert "boot" in error.value.what
    assert error.value.remedy


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[31m", "\udc80", "\u202eab", "n" * 101, 7])
def test_measurement_refuses_names_that_no_page_can_show(name: Any) -> None:
    with pytest.raises(UsageError, match="name"):
        check_measurement(name, 1.0, "s")


@pytest.mark.parametrize("name", ["boot time", "</script>", "größe/2", "a=b;c", "100 %", "冷启动"])
def test_measurement_takes_names_with_odd_characters(name: str) -> None:
    assert check_measurement(f" {name} ", 1, "s").name == name


@pytest.mark.parametrize("unit", [None, 5, "s\n", "u" * 21])
def test_measurement_refuses_a_unit_that_is_no_short_text(unit: Any) -> None:
    if unit == "s\n":
        assert check_measurement("boot", 1, unit).unit == "s"
        return
    with pytest.raises(UsageError, match="the unit of 'boot'"):
        check_measurement("boot", 1, unit)


@pytest.mark.parametrize(("above", "below"), [(5, 3), (3, 3)])
def test_measurement_refuses_limits_that_no_number_is_within(above: float, below: float) -> None:
    with pytest.raises(UsageError, match="no number can be within the limits of 'boot'"):
        check_measurement("boot", 4, "s", below, above)


@pytest.mark.parametrize(("value", "broken"), [(1, True), (1.5, False), (2, True), (0, True), (3, True)])
def test_measurement_is_broken_at_its_limits_and_beyond(value: float, broken: bool) -> None:
    assert check_measurement("boot", value, "s", 2, 1).is_broken is broken


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.00123456, "s", "1.235 ms"),
        (12.3456, "s", "12.35 s"),
        (4321.0, "s", "4321 s"),
        (999.96, "W", "1 kW"),
        (0.9999, "W", "999.9 mW"),
        (1536000, "B", "1.536 MB"),
        (2.5e-12, "A", "0.0025 nA"),
        (0, "V", "0 V"),
        (-0.25, "V", "-250 mV"),
        (1234567, "", "1234567"),
        (1234567.8, "frames", "1234568 frames"),
        (99.5, "%", "99.5 %"),
        (1e300, "", "1e+300"),
    ],
)
def test_format_quantity_is_short_and_exact_where_it_can_be(value: float, unit: str, shown: str) -> None:
    assert format_quantity(value, unit) == shown


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["s", "W", "B", "%", "frames"]))
def test_format_quantity_shows_the_value_to_four_digits(value: float, unit: str) -> None:
    digits, _, shown = format_quantity(value, unit).partition(" ")
    prefix = shown.removesuffix(unit)
    factor = {"G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9}[prefix]

    assert float(digits) * factor == pytest.approx(value, rel=6e-4, abs=1e-300)


def test_measurement_tells_its_limits() -> None:
    assert str(Measurement("boot", 21.5, "s", 20, 1)) == "boot is 21.5 s, must be above 1 s and below 20 s"


@pytest.mark.parametrize(
    ("value", "below", "said"),
    [(1.08, 0.5, "1.08 W, must be below 0.5 W"), (0.02, 1.5, "0.02 W, must be below 1.5 W")],
)
def test_measurement_and_its_limit_have_the_same_prefix(value: float, below: float, said: str) -> None:
    assert str(Measurement("idle", value, "W", below)) == f"idle is {said}"


def test_measurement_that_is_just_beyond_its_limit_is_told_in_full() -> None:
    assert str(Measurement("boot", 20.00001, "s", 20)) == "boot is 20.00001 s, must be below 20 s"


def test_measure_outside_of_a_test_is_refused(measure: Measure) -> None:
    measure.begin()
    measure.end()

    with pytest.raises(UsageError, match="no test is running"):
        measure("boot", 1, "s")


def test_measure_keeps_a_series_of_one_name(measure: Measure) -> None:
    kept = measure.begin()

    for value in (1, 2, 3):
        measure("answer", value, "ms")

    assert [one.value for one in kept] == [1, 2, 3]


def test_measure_refuses_a_series_with_two_units(measure: Measure) -> None:
    kept = measure.begin()
    measure("answer", 1, "s")

    with pytest.raises(UsageError, match="'answer' is in 'ms' here"):
        measure("answer", 1, "ms")

    assert len(kept) == 1


def test_measure_refuses_more_numbers_than_pages_can_hold(measure: Measure) -> None:
    kept = measure.begin()

    for value in range(1000):
        measure("answer", value, "ms")
    with pytest.raises(UsageError, match="1000 numbers already"):
        measure("answer", 1000, "ms")

    assert len(kept) == 1000


TRACE = PowerTrace([Sample(at, at, 5.0, 0.2, 1.0) for at in (0.0, 1.0)])


def test_measure_power_keeps_nothing_if_one_name_has_another_unit(measure: Measure) -> None:
    kept = measure.begin()
    measure("idle energy", 1, "Wh")

    with pytest.raises(UsageError, match="'idle energy' is in 'J' here"):
        measure.power("idle", TRACE)

    assert [one.name for one in kept] == ["idle energy"]


def test_measure_power_keeps_nothing_if_the_test_would_have_too_many_numbers(measure: Measure) -> None:
    kept = measure.begin()
    for value in range(998):
        measure("answer", value, "ms")

    with pytest.raises(UsageError, match="998 numbers already"):
        measure.power("idle", TRACE)

    assert len(kept) == 998


def test_measure_time_keeps_the_duration_of_a_block(measure: Measure) -> None:
    kept = measure.begin()

    with measure.time("nothing", below_s=60):
        pass

    (one,) = kept
    assert (one.name, one.unit, one.below, 0 <= one.value < 60) == ("nothing", "s", 60, True)


def test_measure_time_keeps_nothing_of_a_block_that_fails(measure: Measure) -> None:
    kept = measure.begin()

    with pytest.raises(ValueError, match="no boot"), measure.time("boot"):
        raise ValueError("no boot")

    assert kept == []


def test_measure_time_refuses_a_wrong_limit_before_the_block(measure: Measure) -> None:
    measure.begin()

    with pytest.raises(UsageError, match="no number can be within"), measure.time("b", below_s=1, above_s=2):
        raise AssertionError("the block ran")


def test_measure_refuses_a_thread_that_was_started_before_the_attempt(measure: Measure) -> None:
    measure.begin()
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        left = pool.submit(lambda: (ended.wait(60), measure("late", 99, "s", below=1)))
        measure.end()
        kept = measure.begin()
        ended.set()

        with pytest.raises(UsageError, match="was started before the present attempt"):
            left.result()

    assert kept == []


def test_measure_takes_a_thread_of_the_attempt(measure: Measure) -> None:
    kept = measure.begin()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(measure, "boot", 1, "s").result()

    assert kept == [Measurement("boot", 1.0, "s")]


def test_measure_time_refuses_a_block_that_was_entered_in_an_earlier_attempt(measure: Measure) -> None:
    measure.begin()
    with pytest.raises(UsageError, match="the attempt of the test to which it belongs has ended"):  # noqa: PT012, SIM117
        with measure.time("boot"):
            measure.end()
            kept = measure.begin()

    assert kept == []


def test_measure_time_refuses_a_block_outside_of_a_test_before_it(measure: Measure) -> None:
    with pytest.raises(UsageError, match="no test is running"), measure.time("boot"):
        raise AssertionError("the block ran")


def test_measure_refuses_a_number_whose_attempt_ends_while_it_is_added(measure: Measure) -> None:
    class EndsTheAttempt(list[Measurement]):
        """As a thread measures while its test ends."""

        def __iadd__(self, other: Any) -> Self:  # type: ignore[override, misc]
            measure.end()
            return self

    measure.begin()
    measure._kept = EndsTheAttempt()

    with pytest.raises(UsageError, match="comes too late"):
        measure("late", 99, "s", below=1)


@pytest.mark.parametrize(
    ("value", "below", "told"),
    [
        (5.341139046920362, None, "5.34114 J"),
        (12345678.9, None, "12345679 J"),
        (3.0, None, "3 J"),
        (20.00001, 20.0, "20.00001 J (below 20)"),
        (math.inf, None, "inf J"),
    ],
)
def test_plain_number_has_no_digits_that_no_meter_has(value: float, below: float | None, told: str) -> None:
    assert Measurement("energy", value, "J", below=below).plain == told
