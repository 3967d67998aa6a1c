"""Pins and power sequences that reach the DUT: reset, rescue mode, the power button."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.no_hardware.stories.dut_story import IMAGE_BYTES, LIMIT_S, SPEED, boot_and_log_in, log_in

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.sim.process import SimulatorProcess

FLOATING = dict.fromkeys(("reset", "a", "b", "c", "d"), "floating")
SIMULATOR = {"boards": 1, "speed": SPEED, "stick_bytes": IMAGE_BYTES}


def test_reset_pulse_boots_again(bootable: Board) -> None:
    console = boot_and_log_in(bootable)

    bootable.pins.pulse_reset(0.1)

    assert console.expect("hil boot ROM.*login: ", LIMIT_S)


def test_pin_a_low_while_the_supply_comes_starts_rescue_mode(bootable: Board) -> None:
    bootable.pins.low("a")

    bootable.power.on()

    assert bootable.console.expect("rescue mode.*rescue> ", LIMIT_S)


def test_rescue_sequence_starts_rescue_mode_and_releases_the_pin(
    bootable: Board, simulator: SimulatorProcess
) -> None:
    bootable.settings.write(power_rescue="p1,rL,aL,w2,rZ,w5,aZ")

    bootable.power.rescue(wait=True)

    bootable.console.sendline()  # what it said while the sequence waited is lost
    bootable.console.expect("rescue> ", LIMIT_S)
    assert simulator.management.state(bootable.serial)["pins"]["a"] == "floating"


def test_pin_driven_before_p1_is_released_by_p1(bootable: Board) -> None:
    bootable.settings.write(power_rescue="aL,p1")

    bootable.power.rescue(wait=True)

    assert bootable.console.expect("login: ", LIMIT_S)


def test_rescue_mode_boots_on_command(bootable: Board) -> None:
    bootable.pins.low("a")
    bootable.power.on()
    bootable.console.expect("rescue> ", LIMIT_S)

    bootable.console.sendline("boot")

    log_in(bootable.console)
    assert bootable.console.is_open


def test_power_button_shuts_a_system_down_in_order(bootable: Board) -> None:
    console = boot_and_log_in(bootable)

    bootable.pins.low("b")

    assert console.expect("The system is going down.*Power down", LIMIT_S)


def test_power_off_sequence_may_press_the_button_and_leave_the_supply_on(
    bootable: Board, simulator: SimulatorProcess
) -> None:
    bootable.settings.write(power_off="bL,w5,bZ,w20")
    boot_and_log_in(bootable)

    bootable.power.off(wait=True)

    truth = simulator.management.state(bootable.serial)
    assert (truth["dut"]["phase"], truth["supply"]) == ("standby", True)


def test_on_returns_when_the_boards_sequence_is_over(bootable: Board) -> None:
    bootable.settings.write(power_on="p1,w20")
    began_s = time.monotonic()

    bootable.power.on(wait=True)

    assert time.monotonic() - began_s >= 2.0 / SPEED


def test_sequence_that_never_switches_the_supply_leaves_the_dut_off(
    bootable: Board, simulator: SimulatorProcess
) -> None:
    bootable.settings.write(power_on="rL,w1,rZ")

    bootable.power.on(wait=True)

    assert simulator.management.state(bootable.serial)["supply"] is False


def test_pin_set_high_reaches_the_dut_only_with_its_supply(
    bootable: Board, simulator: SimulatorProcess
) -> None:
    bootable.pins.high("c")
    before = simulator.management.state(bootable.serial)["pins"]["c"]

    bootable.power.force_on()

    assert (before, simulator.management.state(bootable.serial)["pins"]["c"]) == ("floating", "high")


def test_make_safe_switches_supply_and_pins_off(bootable: Board, simulator: SimulatorProcess) -> None:
    bootable.pins.low("b")
    bootable.pins.high("d")
    bootable.power.force_on()

    bootable.make_safe()

    truth = simulator.management.state(bootable.serial)
    assert (truth["supply"], truth["mux"], truth["pins"], truth["pins_set"]) == (
        False,
        "off",
        FLOATING,
        FLOATING,
    )
