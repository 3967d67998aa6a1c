from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.power.sequence import PinStep, PowerSequence, SupplyStep, WaitStep, is_same_sequence
from hil.dutlink.power.sequence_duration import leaves_supply_off, stored_duration_s
from hil.dutlink.usb.protocol import Level, Pin
from hil.errors import SequenceError

pins = st.builds(PinStep, st.sampled_from(Pin), st.sampled_from(Level))
waits = st.builds(WaitStep, st.integers(0, 1301))
orders = st.one_of(pins, waits, st.builds(SupplyStep, st.booleans()))


@given(st.lists(orders, max_size=6).map(tuple))
def test_format_and_parse_are_inverses(some: tuple) -> None:
    sequence = PowerSequence(some)

    assert PowerSequence.parse(sequence.format()) == sequence


@given(st.text("abcdrhlzwp01239,ABHLZWP x", max_size=40))
def test_parse_accepts_text_with_a_canonical_form_that_fits(text: str) -> None:
    try:
        sequence = PowerSequence.parse(text)
    except SequenceError:
        return

    assert len(sequence.format()) <= 32
    assert PowerSequence.parse(sequence.format()) == sequence


def test_parse_accepts_any_case() -> None:
    assert PowerSequence.parse("P1,Al,RH,W5") == PowerSequence.parse("p1,aL,rh,w5")


def test_duration_s_is_the_sum_of_waits() -> None:
    assert PowerSequence.parse("p1,bL,w110,bZ,w5").duration_s == pytest.approx(11.5)


def test_pins_are_those_that_the_sequence_touches() -> None:
    assert PowerSequence.parse("p1,aL,rL,w1,rZ").pins == {Pin.A, Pin.RESET}


def test_supply_after_is_none_without_p() -> None:
    sequence = PowerSequence.parse("bL,w5,bZ")

    assert sequence.supply_after is None


def test_parse_refuses_commas_alone_which_would_leave_the_supply_as_it_is() -> None:
    with pytest.raises(SequenceError, match="has no step"):
        PowerSequence.parse(",,")

    assert not is_same_sequence(",", "")


def test_supply_after_is_that_of_the_last_p() -> None:
    assert PowerSequence.parse("p1,w5,p0").supply_after is False


@pytest.mark.parametrize(
    ("text", "position", "remedy"),
    [
        ("p1, w5", 4, "'p1,w5'"),
        ("p1;w5", 3, "'p1w5'"),
        ("p2", 1, "use a b c"),
        ("p1,a", 4, "use a b c"),
        ("p1,w", 4, "use a b c"),
        ("aq", 1, "use a b c"),
        ("p1,w1302", 4, "'p1,w1301,w1'"),
        ("p1,\u00e9", 4, "use a b c"),
        ("p1,aL,rL,w1,rZ,w1,aZ,w100,p0,p1,bh", 33, "'p1aLrLw1rZw1aZw100p0p1bh'"),
        ("w" + "9" * 31, 1, "use a b c"),
    ],
)
def test_parse_error_names_the_position_and_what_was_probably_meant(
    text: str, position: int, remedy: str
) -> None:
    with pytest.raises(SequenceError) as caught:
        PowerSequence.parse(text)

    assert f"character {position}" in caught.value.what
    assert remedy in caught.value.remedy


def test_parse_of_an_empty_setting_has_no_steps() -> None:
    assert PowerSequence.parse("") == PowerSequence(())


def test_parse_accepts_a_sequence_that_fills_its_field() -> None:
    text = "p1" * 14 + "w100"

    assert len(text) == 32
    assert PowerSequence.parse(text).duration_s == pytest.approx(10.0)


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


@pytest.mark.parametrize(
    ("stored", "is_off"),
    [(b"ap0", False), (b"p0,ap1", True), (b"wp0", True), (b"p", True), (b"p1w5p0w9", True), (b",", False)],
)
def test_leaves_supply_off_skips_the_level_of_a_pin_as_the_board_does(stored: bytes, is_off: bool) -> None:
    assert leaves_supply_off(stored) is is_off


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
