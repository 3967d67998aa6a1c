from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dut_bench import Bench, bootable_stick

from hil.sim.clock import ManualClock
from hil.sim.dut.dut import FAULTS, SimulatedDut
from hil.sim.dut.power_draw import DRAW_AMPS, DutPhase
from hil.sim.interfaces import ControlPin, PinLevel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(bootable_stick(tmp_path))


def test_it_draws_nothing_before_the_supply_comes(bench: Bench) -> None:
    state = bench.dut.state()

    assert (state["phase"], state["draw_amps"], state["volts"]) == ("off", 0.0, 0.0)


def test_it_tells_each_change_of_its_draw_once(bench: Bench) -> None:
    bench.boot()

    assert [amps for amps, _ in bench.draws] == [
        DRAW_AMPS[p] for p in (DutPhase.ROM, DutPhase.BOOT, DutPhase.IDLE)
    ]


def test_the_supply_gives_way_a_little_under_load(bench: Bench) -> None:
    bench.boot()

    assert all(4.9 < volts < 5.1 for _, volts in bench.draws)


def test_without_the_supply_it_draws_nothing_at_once(bench: Bench) -> None:
    bench.boot()

    bench.dut.supply(on=False)

    assert bench.draws[-1] == (0.0, 0.0)


def test_the_end_of_the_supply_cuts_what_it_was_printing(bench: Bench) -> None:
    bench.dut.supply(on=True)
    bench.wait_for("smp: Bringing up")
    bench.dut.supply(on=False)
    bench.printed = ""

    bench.clock.advance(5.0)

    assert bench.printed == ""


def test_a_supply_that_is_on_already_changes_nothing(bench: Bench) -> None:
    bench.boot()

    bench.dut.supply(on=True)

    assert bench.phase == "idle"


def test_it_boots_again_when_the_supply_comes_back(bench: Bench) -> None:
    bench.boot()
    bench.dut.supply(on=False)

    bench.boot()

    assert bench.dut.state()["boots"] == 2


def test_uptime_counts_from_the_kernels_first_line(bench: Bench) -> None:
    bench.boot()
    before_s = bench.dut.state()["uptime_s"]

    bench.clock.advance(10.0)

    assert bench.dut.state()["uptime_s"] == pytest.approx(before_s + 10.0)


def test_it_knows_no_image_while_no_system_runs(bench: Bench) -> None:
    assert bench.dut.state()["image"] is None


def test_it_knows_the_image_that_it_runs(bench: Bench) -> None:
    bench.boot()

    assert bench.dut.state()["image"].startswith("demo-1 ")


def test_bytes_for_a_dut_without_supply_are_not_received(bench: Bench) -> None:
    bench.type("hello")

    assert bench.dut.state()["uart_received_bytes"] == 0


def test_it_counts_what_it_receives(bench: Bench) -> None:
    bench.boot()

    bench.type("hello")

    assert bench.dut.state()["uart_received_bytes"] == 5


def test_every_printed_byte_is_counted(bench: Bench) -> None:
    printed = bench.boot() + bench.printed

    assert bench.dut.state()["uart_sent_bytes"] == len(printed)


def test_every_pins_level_is_in_its_state(bench: Bench) -> None:
    bench.pin(ControlPin.C, PinLevel.HIGH)
    bench.pin(ControlPin.D, PinLevel.LOW)

    assert bench.dut.state()["pins"] == {
        "reset": "floating",
        "a": "floating",
        "b": "floating",
        "c": "high",
        "d": "low",
    }


def test_a_supply_may_sag_under_load(bench: Bench) -> None:
    bench.boot()

    bench.dut.fault("sag", {"volts": 4.4})

    assert bench.draws[-1] == (DRAW_AMPS[DutPhase.IDLE], 4.4)


def test_a_sagging_supply_is_well_without_load(bench: Bench) -> None:
    bench.dut.fault("sag", {"volts": 4.4})
    bench.pin(ControlPin.RESET, PinLevel.LOW)

    bench.dut.supply(on=True)

    assert bench.draws[-1][1] > 5.0


def test_a_sagging_supply_recovers_when_the_fault_ends(bench: Bench) -> None:
    bench.boot()
    bench.dut.fault("sag", {"volts": 4.4})

    bench.dut.fault("sag", {"on": False})

    assert bench.draws[-1][1] > 5.0


@pytest.mark.parametrize("volts", [{}, {"volts": "much"}, {"volts": None}, {"volts": -1}, {"volts": "nan"}])
def test_a_sag_to_no_voltage_is_refused(bench: Bench, volts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="sag"):
        bench.dut.fault("sag", volts)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_ended_before_it_began(bench: Bench, name: str) -> None:
    bench.dut.fault(name, {"on": False})

    assert bench.boot()


def test_a_dut_that_stays_on_draws_until_the_fault_ends(bench: Bench) -> None:
    bench.boot()
    bench.dut.fault("stays_on", {})

    bench.dut.supply(on=False)
    draws = bench.dut.state()["draw_amps"]
    bench.dut.fault("stays_on", {"on": False})

    assert (draws, bench.dut.state()["draw_amps"]) == (DRAW_AMPS[DutPhase.IDLE], 0.0)


def test_a_dut_that_stays_on_has_no_power_before_it_is_switched_on(bench: Bench) -> None:
    bench.dut.fault("stays_on", {})

    assert bench.dut.state()["draw_amps"] == 0.0


def test_a_fault_is_on_or_off_and_no_word_for_it(bench: Bench) -> None:
    with pytest.raises(ValueError, match="not 'false'"):
        bench.dut.fault("hang_in_boot", {"on": "false"})


def test_a_fault_it_does_not_know_is_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="unknown fault 'fire'"):
        bench.dut.fault("fire", {})


def test_it_runs_without_a_board_to_tell() -> None:
    clock = ManualClock()
    dut = SimulatedDut(clock)

    dut.supply(on=True)
    clock.advance(1.0)

    assert dut.state()["phase"] == "boot prompt"
