from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.dut import FAULTS, SimulatedDut
from hil.sim.dut.power_draw import DRAW_AMPS, DutPhase
from hil.sim.interfaces import ControlPin, PinLevel
from tests.support.dut_bench import DutBench, bootable_stick
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> DutBench:
    return DutBench(bootable_stick(tmp_path))


def test_dut_draws_nothing_before_the_supply_comes(bench: DutBench) -> None:
    state = bench.dut.state()

    assert (state["phase"], state["draw_amps"], state["volts"]) == ("off", 0.0, 0.0)


def test_dut_reports_each_change_of_its_draw_once(bench: DutBench) -> None:
    bench.boot()

    assert [amps for amps, _ in bench.draws] == [
        DRAW_AMPS[p] for p in (DutPhase.ROM, DutPhase.BOOT, DutPhase.IDLE)
    ]


def test_supply_voltage_drops_a_little_under_load(bench: DutBench) -> None:
    bench.boot()

    assert all(4.9 < volts < 5.1 for _, volts in bench.draws)


def test_dut_stops_drawing_at_once_without_supply(bench: DutBench) -> None:
    bench.boot()

    bench.dut.supply(on=False)

    assert bench.draws[-1] == (0.0, 0.0)


def test_dut_output_is_cut_when_the_supply_goes(bench: DutBench) -> None:
    bench.dut.supply(on=True)
    bench.wait_for("smp: Bringing up")
    bench.dut.supply(on=False)
    bench.printed = ""

    bench.clock.advance(5.0)

    assert bench.printed == ""


def test_supply_on_twice_changes_nothing(bench: DutBench) -> None:
    bench.boot()

    bench.dut.supply(on=True)

    assert bench.phase == "idle"


def test_dut_boots_again_when_the_supply_comes_back(bench: DutBench) -> None:
    bench.boot()
    bench.dut.supply(on=False)

    bench.boot()

    assert bench.dut.state()["boots"] == 2


def test_uptime_counts_from_the_first_line_of_the_boot_log(bench: DutBench) -> None:
    bench.boot()
    before_s = bench.dut.state()["uptime_s"]

    bench.clock.advance(10.0)

    assert bench.dut.state()["uptime_s"] == pytest.approx(before_s + 10.0)


def test_state_has_no_image_while_no_system_runs(bench: DutBench) -> None:
    assert bench.dut.state()["image"] is None


def test_state_has_the_image_of_the_running_system(bench: DutBench) -> None:
    bench.boot()

    assert bench.dut.state()["image"].startswith("demo-1 ")


def test_bytes_for_a_dut_without_supply_are_not_received(bench: DutBench) -> None:
    bench.type("hello")

    assert bench.dut.state()["uart_received_bytes"] == 0


def test_dut_counts_received_bytes(bench: DutBench) -> None:
    bench.boot()

    bench.type("hello")

    assert bench.dut.state()["uart_received_bytes"] == 5


def test_dut_counts_sent_bytes(bench: DutBench) -> None:
    printed = bench.boot() + bench.printed

    assert bench.dut.state()["uart_sent_bytes"] == len(printed)


def test_state_has_the_level_of_each_pin(bench: DutBench) -> None:
    bench.pin(ControlPin.C, PinLevel.HIGH)
    bench.pin(ControlPin.D, PinLevel.LOW)

    assert bench.dut.state()["pins"] == {
        "reset": "floating",
        "a": "floating",
        "b": "floating",
        "c": "high",
        "d": "low",
    }


def test_sag_lowers_the_voltage_under_load(bench: DutBench) -> None:
    bench.boot()

    bench.dut.fault("sag", {"volts": 4.4})

    assert bench.draws[-1] == (DRAW_AMPS[DutPhase.IDLE], 4.4)


def test_sag_does_not_lower_the_voltage_without_load(bench: DutBench) -> None:
    bench.dut.fault("sag", {"volts": 4.4})
    bench.pin(ControlPin.RESET, PinLevel.LOW)

    bench.dut.supply(on=True)

    assert bench.draws[-1][1] > 5.0


def test_sag_ends_with_the_fault(bench: DutBench) -> None:
    bench.boot()
    bench.dut.fault("sag", {"volts": 4.4})

    bench.dut.fault("sag", {"on": False})

    assert bench.draws[-1][1] > 5.0


@pytest.mark.parametrize("volts", [{}, {"volts": "much"}, {"volts": None}, {"volts": -1}, {"volts": "nan"}])
def test_sag_to_no_voltage_is_refused(bench: DutBench, volts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="sag"):
        bench.dut.fault("sag", volts)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_can_be_ended_before_it_began(bench: DutBench, name: str) -> None:
    bench.dut.fault(name, {"on": False})

    assert bench.boot()


def test_stays_on_keeps_the_dut_drawing_until_the_fault_ends(bench: DutBench) -> None:
    bench.boot()
    bench.dut.fault("stays_on", {})

    bench.dut.supply(on=False)
    draws = bench.dut.state()["draw_amps"]
    bench.dut.fault("stays_on", {"on": False})

    assert (draws, bench.dut.state()["draw_amps"]) == (DRAW_AMPS[DutPhase.IDLE], 0.0)


def test_stays_on_gives_no_power_before_the_supply_comes(bench: DutBench) -> None:
    bench.dut.fault("stays_on", {})

    assert bench.dut.state()["draw_amps"] == 0.0


def test_fault_refuses_a_word_for_on(bench: DutBench) -> None:
    with pytest.raises(ValueError, match="not 'false'"):
        bench.dut.fault("hang_in_boot", {"on": "false"})


def test_fault_refuses_an_unknown_name(bench: DutBench) -> None:
    with pytest.raises(ValueError, match="unknown fault 'fire'"):
        bench.dut.fault("fire", {})


def test_dut_runs_without_a_board() -> None:
    clock = ManualClock()
    dut = SimulatedDut(clock)

    dut.supply(on=True)
    clock.advance(1.0)

    assert dut.state()["phase"] == "boot prompt"
