from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.pins import ResetEvent
from hil.dutlink.usb.protocol import Level, Pin
from hil.errors import RequestStalledError, UsageError

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from tests.support.fake_bus import FakeBoard


@pytest.mark.parametrize("pin", ["reset", "a", "b", "c", "d"])
@pytest.mark.parametrize("level", ["low", "high", "floating"])
def test_set_drives_each_pin_to_each_level(board: Board, fake: FakeBoard, pin: str, level: str) -> None:
    board.pins.set(pin, level)

    value = ["reset", "a", "b", "c", "d"].index(pin)
    state = ["low", "high", "floating"].index(level)
    assert fake.done == [(5, value, bytes([state]))]


def test_pins_and_levels_have_verbs_and_enums(board: Board, fake: FakeBoard) -> None:
    board.pins.low(Pin.A)
    board.pins.high("B")
    board.pins.set(Pin.C, Level.FLOATING)

    assert fake.done == [(5, 1, b"\0"), (5, 2, b"\1"), (5, 3, b"\2")]


@pytest.mark.parametrize(("pin", "level"), [("e", "low"), ("a", "medium")])
def test_set_refuses_unknown_pins_and_levels_before_a_request(
    board: Board, fake: FakeBoard, pin: str, level: str
) -> None:
    with pytest.raises(UsageError):
        board.pins.set(pin, level)

    assert fake.requests == []


def test_pulse_reset_ends_with_a_floating_pin(board: Board, fake: FakeBoard) -> None:
    board.pins.pulse_reset(duration_s=0.0)

    assert fake.done == [(5, 0, b"\0"), (5, 0, b"\2")]


def test_pulse_reset_floats_the_pin_after_an_error(board: Board, fake: FakeBoard) -> None:
    fake.errors.append(errno.EPIPE)

    with pytest.raises(RequestStalledError):
        board.pins.pulse_reset(duration_s=0.0)

    assert fake.done == [(5, 0, b"\2")]


def test_float_all_tries_each_pin_and_raises_the_first_error(board: Board, fake: FakeBoard) -> None:
    fake.errors.append(errno.EPIPE)

    with pytest.raises(RequestStalledError):
        board.pins.float_all()

    assert len(fake.done) == 4


def test_reset_event_says_what_happens_and_that_the_dut_may_start() -> None:
    assert (str(ResetEvent()), ResetEvent().starts_dut) == ("reset low", True)
