from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.power_draw import DRAW_AMPS, DutPhase
from hil.sim.interfaces import ControlPin, PinLevel
from tests.support.dut_bench import DutBench, bootable_stick

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> DutBench:
    return DutBench(bootable_stick(tmp_path))


def _hold_button(bench: DutBench, seconds: float) -> None:
    bench.pin(ControlPin.B, PinLevel.LOW)
    bench.clock.advance(seconds)
    bench.pin(ControlPin.B, PinLevel.FLOATING)


def _rest(bench: DutBench) -> None:
    """Bring it to standby."""
    bench.log_in()
    bench.type("poweroff\r")
    bench.wait_for("Power down\r\n")
    bench.clock.advance(0.1)


def test_reset_low_stops_the_output(bench: DutBench) -> None:
    bench.boot()
    bench.pin(ControlPin.RESET, PinLevel.LOW)
    bench.printed = ""

    bench.clock.advance(10.0)

    assert bench.printed == ""


def test_reset_low_draws_little(bench: DutBench) -> None:
    bench.boot()

    bench.pin(ControlPin.RESET, PinLevel.LOW)

    assert bench.draws[-1][0] == DRAW_AMPS[DutPhase.RESET]


@pytest.mark.parametrize("released", [PinLevel.HIGH, PinLevel.FLOATING])
def test_reset_release_boots(bench: DutBench, released: PinLevel) -> None:
    bench.boot()
    bench.pin(ControlPin.RESET, PinLevel.LOW)
    bench.clock.advance(0.1)

    bench.pin(ControlPin.RESET, released)

    assert "image: demo-1" in bench.wait_for("login: ")


def test_reset_from_floating_to_high_is_no_reset(bench: DutBench) -> None:
    bench.boot()

    bench.pin(ControlPin.RESET, PinLevel.HIGH)

    assert bench.phase == "idle"


def test_reset_low_delays_the_boot_after_the_supply_comes(bench: DutBench) -> None:
    bench.pin(ControlPin.RESET, PinLevel.LOW)
    bench.dut.supply(on=True)
    bench.clock.advance(10.0)

    assert (bench.phase, bench.printed) == ("reset", "")


def test_reset_low_loses_typed_bytes(bench: DutBench) -> None:
    bench.pin(ControlPin.RESET, PinLevel.LOW)
    bench.dut.supply(on=True)

    bench.type("hello")

    assert bench.dut.state()["uart_received_bytes"] == 0


def test_reset_logs_out(bench: DutBench) -> None:
    bench.log_in()

    bench.pin(ControlPin.RESET, PinLevel.LOW)

    assert bench.dut.state()["logged_in"] is False


def test_pin_a_low_when_the_supply_comes_starts_rescue_mode(bench: DutBench) -> None:
    bench.pin(ControlPin.A, PinLevel.LOW)

    bench.dut.supply(on=True)

    assert "rescue mode\r\n" in bench.wait_for("rescue> ")


def test_pin_a_low_when_reset_ends_starts_rescue_mode(bench: DutBench) -> None:
    bench.boot()
    bench.pin(ControlPin.A, PinLevel.LOW)
    bench.pin(ControlPin.RESET, PinLevel.LOW)

    bench.pin(ControlPin.RESET, PinLevel.FLOATING)

    assert bench.wait_for("rescue> ")


def test_pin_a_low_has_no_effect_on_a_running_system(bench: DutBench) -> None:
    bench.boot()

    bench.pin(ControlPin.A, PinLevel.LOW)
    bench.clock.advance(10.0)

    assert bench.phase == "idle"


def test_pin_a_high_starts_no_rescue_mode(bench: DutBench) -> None:
    bench.pin(ControlPin.A, PinLevel.HIGH)

    assert bench.boot()


@pytest.fixture
def rescued(bench: DutBench) -> DutBench:
    bench.pin(ControlPin.A, PinLevel.LOW)
    bench.dut.supply(on=True)
    bench.wait_for("rescue> ")
    return bench


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("version", "hil boot ROM 1.0"),
        ("help", "boot the stick's image"),
        ("fly", "unknown command: fly"),
    ],
)
def test_rescue_mode_answers_commands(rescued: DutBench, typed: str, answer: str) -> None:
    rescued.type(f"{typed}\r")

    assert answer in rescued.wait_for("rescue> ")


@pytest.mark.parametrize("typed", ["\r", "\x03", "\x04"], ids=["enter", "ctrl-c", "ctrl-d"])
def test_rescue_mode_prints_its_prompt_again(rescued: DutBench, typed: str) -> None:
    rescued.type(typed)

    assert rescued.wait_for("rescue> ")


def test_rescue_mode_boots_on_command_while_the_pin_is_low(rescued: DutBench) -> None:
    rescued.type("boot\r")

    assert "image: demo-1" in rescued.wait_for("login: ")


def test_rescue_mode_loses_bytes_typed_after_boot(rescued: DutBench) -> None:
    rescued.type("boot\r\x03version\r")

    assert "rescue>" not in rescued.wait_for("login: ")


def test_power_button_shuts_a_running_system_down(bench: DutBench) -> None:
    bench.boot()

    _hold_button(bench, 0.5)

    assert bench.wait_for("Power down\r\n")
    bench.clock.advance(0.1)
    assert bench.draws[-1][0] == DRAW_AMPS[DutPhase.STANDBY]


def test_power_button_ignores_contact_bounce(bench: DutBench) -> None:
    bench.boot()

    _hold_button(bench, 0.1)
    bench.clock.advance(10.0)

    assert bench.phase == "idle"


def test_power_button_does_nothing_while_the_kernel_boots(bench: DutBench) -> None:
    bench.dut.supply(on=True)

    _hold_button(bench, 0.5)

    assert bench.wait_for("login: ")


def test_power_button_wakes_the_dut_from_standby(bench: DutBench) -> None:
    _rest(bench)

    _hold_button(bench, 0.5)

    assert bench.wait_for("login: ")


def test_power_button_held_for_four_seconds_ends_a_hung_boot(bench: DutBench) -> None:
    bench.dut.fault("hang_in_boot", {})
    bench.dut.supply(on=True)
    bench.clock.advance(5.0)

    _hold_button(bench, 4.5)

    assert bench.phase == "standby"


def test_power_button_held_for_four_seconds_does_nothing_during_reset(bench: DutBench) -> None:
    bench.dut.supply(on=True)
    bench.pin(ControlPin.RESET, PinLevel.LOW)

    _hold_button(bench, 4.5)

    assert bench.phase == "reset"


def test_power_button_held_before_the_supply_counts_from_the_supply(bench: DutBench) -> None:
    bench.pin(ControlPin.B, PinLevel.LOW)
    bench.clock.advance(10.0)

    bench.dut.supply(on=True)
    bench.clock.advance(3.9)
    before = bench.phase
    bench.clock.advance(0.2)

    assert (before, bench.phase) == ("idle", "standby")


def test_power_button_press_ends_with_the_supply(bench: DutBench) -> None:
    bench.boot()
    bench.pin(ControlPin.B, PinLevel.LOW)
    bench.dut.supply(on=False)

    bench.clock.advance(10.0)

    assert bench.phase == "off"


def test_reset_wakes_the_dut_from_standby(bench: DutBench) -> None:
    _rest(bench)

    bench.pin(ControlPin.RESET, PinLevel.LOW)
    bench.pin(ControlPin.RESET, PinLevel.FLOATING)

    assert bench.wait_for("login: ")


@pytest.mark.parametrize("pin", [ControlPin.C, ControlPin.D])
@pytest.mark.parametrize("level", [PinLevel.LOW, PinLevel.HIGH])
def test_pins_c_and_d_have_no_effect(bench: DutBench, pin: ControlPin, level: PinLevel) -> None:
    bench.boot()

    bench.pin(pin, level)
    bench.clock.advance(10.0)

    assert bench.phase == "idle"
