"""The DUT's supply, judged by the meter alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.power.sequence import PowerSequence
from hil.errors import SequenceError

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.power.power import Power
    from tests.hardware.meter_watch import Meter

pytestmark = pytest.mark.usefixtures("safe_after")


def _supply_after(setting: str, unset: bool) -> bool | None:
    """How a power sequence of this bench leaves the supply; None where that cannot be told."""
    try:
        sequence = PowerSequence.parse(setting)
    except SequenceError:
        return None
    return sequence.supply_after if sequence.steps else unset


@pytest.fixture
def on_supplies(dutlink: Board) -> None:
    if _supply_after(dutlink.settings.read().power_on, unset=True) is not True:
        pytest.skip("the power_on sequence of this bench does not end with the supply on")


@pytest.fixture
def off_cuts(dutlink: Board) -> None:
    if _supply_after(dutlink.settings.read().power_off, unset=False) is not False:
        pytest.skip("the power_off sequence of this bench does not end with the supply off")


def test_a_dut_whose_supply_is_forced_on_draws_more_than_one_that_is_off(power: Power, meter: Meter) -> None:
    power.force_on()

    assert meter.draws()


@pytest.mark.usefixtures("on_supplies")
def test_a_dut_that_is_switched_on_draws_more_than_one_that_is_off(power: Power, meter: Meter) -> None:
    power.on(wait=True)

    assert meter.draws()


def test_forcing_the_supply_on_twice_is_harmless(power: Power, meter: Meter) -> None:
    power.force_on()
    power.force_on()

    assert meter.draws()


def test_force_off_cuts_the_current(power: Power, meter: Meter) -> None:
    power.force_on()
    assert meter.draws()

    power.force_off()

    assert meter.falls()


def test_forcing_the_supply_off_twice_is_harmless(power: Power, meter: Meter) -> None:
    power.force_on()
    assert meter.draws()

    power.force_off()
    power.force_off()

    assert meter.falls()


@pytest.mark.usefixtures("off_cuts")
def test_a_dut_that_is_switched_off_draws_nothing(power: Power, meter: Meter) -> None:
    power.force_on()
    assert meter.draws()

    power.off(wait=True)

    assert meter.falls()


@pytest.mark.usefixtures("on_supplies")
def test_a_cycle_ends_with_the_dut_on(power: Power, meter: Meter) -> None:
    power.cycle(wait_s=0.5)

    assert meter.draws()


def test_a_board_answers_again_when_rescue_has_waited(dutlink: Board) -> None:
    dutlink.power.rescue(wait=True)

    assert dutlink.power.read()


def test_a_request_right_after_on_waits_for_the_sequence_to_end(dutlink: Board) -> None:
    dutlink.power.on(wait=False)

    assert dutlink.settings.read()
