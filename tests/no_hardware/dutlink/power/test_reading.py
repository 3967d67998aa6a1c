from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.power.reading import PowerReading
from hil.errors import BoardReplyError
from hil.lab.safe_state.record import SafetyEvent

values = st.integers(-99999, 99999).map(lambda hundredths: hundredths / 100)


@given(values, values, values)
def test_format_and_parse_are_inverses(volts: float, amps: float, watts: float) -> None:
    reading = PowerReading(volts, amps, watts)

    assert PowerReading.parse(reading.format().encode()) == reading


def test_parse_assigns_each_number_to_its_unit() -> None:
    assert PowerReading.parse(b"5.35W 5.10V 1.05A") == PowerReading(volts=5.10, amps=1.05, watts=5.35)


def test_parse_reads_minus_zero_as_zero() -> None:
    reading = PowerReading.parse(b"-0.00W 5.10V -0.00A")

    assert [math.copysign(1, number) for number in (reading.amps, reading.watts)] == [1, 1]
    assert str(reading) == "0.00W 5.10V 0.00A"


def test_comparison_text_shows_no_minus_zero() -> None:
    assert str(PowerReading(volts=0.0, amps=-0.004, watts=-0.002)) == "0.00W 0.00V 0.00A"


def test_safety_event_text_shows_no_minus_zero() -> None:
    assert ", 0.00 A measured" in str(SafetyEvent.made_safe("the run ended", "a guard", -0.004))


@pytest.mark.parametrize("reply", [b"", b"garbage", b"1.05A 5.10V 5.35W", b"nanW 5.10V 1.05A"])
def test_parse_of_anything_else_raises_board_reply_error(reply: bytes) -> None:
    with pytest.raises(BoardReplyError) as caught:
        PowerReading.parse(reply)

    assert repr(reply) in caught.value.what
