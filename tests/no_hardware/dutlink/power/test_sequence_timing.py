from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.power.sequence import PowerSequence
from hil.dutlink.power.sequence_timing import leaves_supply_off, stored_duration_s
from hil.errors import SequenceError


@given(st.text("abcdrhlzwp0123,", max_size=32))
def test_stored_duration_s_agrees_with_power_sequence(text: str) -> None:
    try:
        sequence = PowerSequence.parse(text)
    except SequenceError:
        return

    assert stored_duration_s(text.encode()) == pytest.approx(sequence.duration_s)


@given(st.text("abcdrhlzwp0123,", max_size=32))
def test_leaves_supply_off_agrees_with_power_sequence(text: str) -> None:
    try:
        sequence = PowerSequence.parse(text)
    except SequenceError:
        return

    is_off = not sequence.steps or sequence.supply_after is False
    assert leaves_supply_off(text.encode().ljust(32, b"\0")) == is_off


@given(st.binary(max_size=40))
def test_stored_duration_s_accepts_any_bytes(stored: bytes) -> None:
    assert stored_duration_s(stored) >= 0


@pytest.mark.parametrize(
    ("stored", "duration_s"),
    [
        (b"", 0.0),
        (b"w5\0w9", 0.5),
        (b"p1 w5;x", 0.5),
        (b"\xffw10", 1.0),
        (b"aw5", 0.0),
        (b"w1302", (1302 * 3_300_000 % 2**32) / 33e6),
        (b"w4294967297", 0.1),
        (b",".ljust(31, b",") + b"w", 0.0),
        (b",".ljust(30, b",") + b"w5", 0.5),
        (b",".ljust(31, b",") + b"w5", 0.0),
    ],
)
def test_stored_duration_s_follows_the_firmware_s_oddities(stored: bytes, duration_s: float) -> None:
    assert stored_duration_s(stored) == pytest.approx(duration_s)
