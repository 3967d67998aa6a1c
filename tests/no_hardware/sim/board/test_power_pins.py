"""Supply and pins: power sequences, with their surprising cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.sim.board.power_pins import Drive, Supply, Wait, parse_program
from hil.sim.interfaces import ControlPin, PinLevel
from tests.support.board_bench import (
    FORCE_OFF,
    FORCE_ON,
    OUT,
    POWER,
    POWER_OFF,
    POWER_ON,
    RESCUE,
    SET_PIN,
    BoardBench,
)

ON_KEY, OFF_KEY, RESCUE_KEY = 3, 4, 5
LOW, HIGH, FLOATING = b"\0", b"\1", b"\2"


def power(bench: BoardBench, action: int, program: bytes | None = None, key: int = ON_KEY) -> None:
    """Store a program, send a request and wait until the board is done."""
    if program is not None:
        bench.set_config(key, program)
    bench.control(OUT, POWER, action)
    bench.clock.advance(bench.state["busy_s"])


def test_supply_is_off_when_the_board_gets_power() -> None:
    bench = BoardBench()

    assert (bench.state["supply"], bench.dut.supplies) == (False, [])


@pytest.mark.parametrize("action", [POWER_ON, FORCE_ON, RESCUE])
def test_on_and_rescue_without_a_program_switch_the_supply_on(action: int) -> None:
    bench = BoardBench()

    power(bench, action)

    assert bench.dut.supplies == [True]


@pytest.mark.parametrize("action", [POWER_OFF, FORCE_OFF])
def test_off_without_a_program_switches_the_supply_off(action: int) -> None:
    bench = BoardBench()
    power(bench, POWER_ON)

    power(bench, action)

    assert bench.dut.supplies == [True, False]


def test_on_twice_is_one_change() -> None:
    bench = BoardBench()

    power(bench, POWER_ON)
    power(bench, POWER_ON)

    assert bench.dut.supplies == [True]


def test_program_without_p1_never_switches_the_supply() -> None:
    bench = BoardBench()

    power(bench, POWER_ON, b"aL,w1,aZ")

    assert (bench.dut.supplies, bench.dut.pins) == (
        [],
        [(ControlPin.A, PinLevel.LOW), (ControlPin.A, PinLevel.FLOATING)],
    )


def test_program_without_p1_makes_the_board_consider_the_dut_on() -> None:
    bench = BoardBench()
    power(bench, POWER_ON, b"w1")

    bench.control(OUT, SET_PIN, 1, data=HIGH)

    assert bench.state["pins"]["a"] == "high"


def test_off_program_without_p0_leaves_the_supply_on() -> None:
    bench = BoardBench()
    power(bench, POWER_ON)

    power(bench, POWER_OFF, b"bL,w2,bZ", OFF_KEY)

    assert bench.state["supply"]


def test_force_on_and_force_off_ignore_the_programs() -> None:
    bench = BoardBench()
    bench.set_config(ON_KEY, b"w100")
    bench.set_config(OFF_KEY, b"w100")

    power(bench, FORCE_ON)
    power(bench, FORCE_OFF)

    assert (bench.dut.supplies, bench.clock.now()) == ([True, False], 0)


def test_rescue_runs_its_own_program() -> None:
    bench = BoardBench()

    power(bench, RESCUE, b"aL,p1,w5,aZ", RESCUE_KEY)

    assert bench.dut.pins == [(ControlPin.A, PinLevel.LOW), (ControlPin.A, PinLevel.FLOATING)]
    assert bench.state["supply"]


def test_high_pin_is_only_remembered_while_the_dut_is_off() -> None:
    bench = BoardBench()

    bench.control(OUT, SET_PIN, 2, data=HIGH)

    assert (bench.state["pins"]["b"], bench.state["pins_set"]["b"]) == ("floating", "high")


def test_remembered_high_pin_is_driven_when_the_dut_goes_on() -> None:
    bench = BoardBench()
    bench.control(OUT, SET_PIN, 2, data=HIGH)

    power(bench, POWER_ON)

    assert bench.dut.pins == [(ControlPin.B, PinLevel.HIGH)]


def test_off_floats_the_pins_last_set_high_and_keeps_low_ones_low() -> None:
    bench = BoardBench()
    power(bench, POWER_ON)
    bench.control(OUT, SET_PIN, 1, data=HIGH)
    bench.control(OUT, SET_PIN, 2, data=LOW)

    power(bench, FORCE_OFF)

    assert (bench.state["pins"]["a"], bench.state["pins"]["b"]) == ("floating", "low")


def test_pin_that_a_program_drove_high_stays_high_after_off() -> None:
    bench = BoardBench()

    power(bench, POWER_OFF, b"cH,p0", OFF_KEY)

    assert bench.state["pins"]["c"] == "high"


def test_low_and_floating_are_driven_at_once_while_the_dut_is_off() -> None:
    bench = BoardBench()

    bench.control(OUT, SET_PIN, 0, data=LOW)
    bench.control(OUT, SET_PIN, 0, data=FLOATING)

    assert bench.dut.pins == [(ControlPin.RESET, PinLevel.LOW), (ControlPin.RESET, PinLevel.FLOATING)]


def test_p1_restores_the_pins_as_they_were_set() -> None:
    bench = BoardBench()

    power(bench, POWER_ON, b"aL,p1,w1")

    assert bench.dut.pins == [(ControlPin.A, PinLevel.LOW), (ControlPin.A, PinLevel.FLOATING)]


def test_program_takes_the_time_of_its_waits() -> None:
    bench = BoardBench()
    bench.set_config(ON_KEY, b"p1,w5,rL,w10,rZ")

    bench.control(OUT, POWER, POWER_ON)

    assert bench.state["busy_s"] == pytest.approx(1.5)


def test_program_acts_between_its_waits() -> None:
    bench = BoardBench()
    bench.set_config(ON_KEY, b"p1,w5,rL,w10,rZ")
    bench.control(OUT, POWER, POWER_ON)

    bench.clock.advance(0.6)

    assert bench.dut.pins == [(ControlPin.RESET, PinLevel.LOW)]
    assert bench.state["busy_s"] == pytest.approx(0.9)


def test_power_loss_ends_a_program() -> None:
    bench = BoardBench()
    bench.set_config(ON_KEY, b"p1,w50,aL")
    bench.control(OUT, POWER, POWER_ON)

    bench.board.power_loss()
    bench.clock.advance(10)

    assert (bench.dut.supplies, bench.dut.pins) == ([True, False], [])


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            b"aHbLcZ",
            [
                Drive(ControlPin.A, PinLevel.HIGH),
                Drive(ControlPin.B, PinLevel.LOW),
                Drive(ControlPin.C, PinLevel.FLOATING),
            ],
        ),
        (b"Ah,Rl", [Drive(ControlPin.A, PinLevel.HIGH), Drive(ControlPin.RESET, PinLevel.LOW)]),
        (b"a,h", [Drive(ControlPin.A, PinLevel.FLOATING)]),
        (b"a\0bL", [Drive(ControlPin.A, PinLevel.FLOATING), Drive(ControlPin.B, PinLevel.LOW)]),
        (b"p1p0pxp,", [Supply(True), Supply(False), Supply(False), Supply(False)]),
        (b"w12p1", [Wait(pytest.approx(1.2)), Supply(True)]),
        (b"w,p1", [Wait(0), Supply(True)]),
        (b"x?!p1", [Supply(True)]),
        (b"p", []),
        (b"p1,w", [Supply(True)]),
        (b"\0p1", []),
        (b"p1\0\0\0", [Supply(True)]),
        (b"w1301", [Wait(pytest.approx(130.1))]),
        (b"w1302", [Wait(pytest.approx((1302 * 3_300_000 - 2**32) / 33_000_000))]),
        (b"w4294967297", [Wait(pytest.approx(0.1))]),
    ],
)
def test_program_is_parsed_as_by_the_firmware(program: bytes, expected: list[object]) -> None:
    assert list(parse_program(program)) == expected


def test_instruction_on_the_last_of_32_bytes_is_ignored() -> None:
    bench = BoardBench()

    power(bench, POWER_ON, b"," * 30 + b"p1")
    power(bench, POWER_ON, b"," * 31 + b"p1")

    assert bench.dut.supplies == [True]


@given(st.binary(max_size=32))
def test_any_program_has_an_end_and_waits_that_fit_32_bits(program: bytes) -> None:
    waits = [order.seconds for order in parse_program(program) if isinstance(order, Wait)]

    assert all(0 <= seconds < 2**32 / 33_000_000 for seconds in waits)
