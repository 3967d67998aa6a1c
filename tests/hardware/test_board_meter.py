"""The meter, and the two ways to ask it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.usb.protocol import ReadKey, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board
    from hil.dutlink.power.reading import PowerReading
    from hil.dutlink.usb.control_link import ControlLink
    from tests.hardware.meter_watch import Meter

ROUNDING = 0.005
"""Half of the last digit that the board prints."""

SHELL_READING = re.compile(r"(-?\d+\.\d\d)A (-?\d+\.\d\d)V (-?\d+\.\d\d)W")


@pytest.fixture(scope="module")
def drawing(dutlink: Board, meter: Meter) -> Iterator[PowerReading]:
    """A reading of a DUT that has power."""
    dutlink.power.force_on()
    assert meter.draws()
    yield dutlink.power.read()
    dutlink.make_safe()


def test_power_is_the_product_of_the_averages(drawing: PowerReading) -> None:
    by_rounding = ROUNDING * (1 + drawing.volts + abs(drawing.amps))

    assert drawing.watts == pytest.approx(drawing.volts * drawing.amps, abs=by_rounding)


def test_a_dut_with_power_has_a_voltage(drawing: PowerReading) -> None:
    assert drawing.volts > 0


@pytest.mark.usefixtures("drawing")
def test_a_reading_stays_the_same_until_the_next_refresh(link: ControlLink) -> None:
    question = (Request.READ, ReadKey.POWER)
    (first,) = link.snapshot_read(question)

    again = link.control_in(*question)

    assert again == first


def test_voltage_and_current_by_themselves_are_those_of_the_power_reading(link: ControlLink) -> None:
    keys = (ReadKey.POWER, ReadKey.VOLTAGE, ReadKey.CURRENT)

    power, volts, amps = link.snapshot_read(*((Request.READ, key) for key in keys))

    assert power.split()[1:] == [volts, amps]


def test_the_shell_tells_current_first_and_power_last(dutlink: Board) -> None:
    answer = dutlink.console.shell("meter read")

    assert SHELL_READING.fullmatch(answer)


def test_the_shell_reads_the_same_meter_as_the_control_request(dutlink: Board, meter: Meter) -> None:
    dutlink.power.force_off()
    meter.falls()

    by_shell = SHELL_READING.fullmatch(dutlink.console.shell("meter read"))
    by_request = dutlink.power.read()

    assert by_shell is not None
    assert float(by_shell[1]) == pytest.approx(by_request.amps, abs=0.02)
