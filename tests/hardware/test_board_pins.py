"""The control pins. Nothing reads them back, so these tests judge that the board takes each order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.usb.protocol import Level, Pin

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.pins import Pins


@pytest.fixture(autouse=True)
def _an_unpowered_dut(dutlink: Board, safe_after: None) -> None:
    """An unknown DUT might do anything with its pins, so it gets no power here."""
    del safe_after
    dutlink.power.force_off()


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("pin", Pin)
def test_a_pin_takes_every_level(dutlink: Board, pin: Pin, level: Level) -> None:
    dutlink.pins.set(pin, level)

    assert dutlink.power.read()


def test_a_reset_pulse_lasts_as_long_as_it_was_asked_to(pins: Pins) -> None:
    began_s = time.monotonic()

    pins.pulse_reset(0.2)

    assert time.monotonic() - began_s >= 0.2


def test_all_pins_can_be_left_floating_at_once_and_again(dutlink: Board) -> None:
    dutlink.pins.float_all()
    dutlink.pins.float_all()

    assert dutlink.power.read()
