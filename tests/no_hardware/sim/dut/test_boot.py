from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.dut import SimulatedDut
from hil.sim.dut.uart import BYTES_PER_S
from hil.sim.interfaces import ControlPin, PinLevel
from tests.support.dut_bench import DutBench, MemoryStick, bootable_stick

if TYPE_CHECKING:
    from pathlib import Path

STAMP = re.compile(r"^\[ *(\d+\.\d{6})\] ", re.MULTILINE)


@pytest.fixture
def bench(tmp_path: Path) -> DutBench:
    return DutBench(bootable_stick(tmp_path))


def test_boot_ends_at_the_login_prompt(bench: DutBench) -> None:
    log = bench.boot()

    assert log.endswith("\r\nhil-dut login: ")


def test_boot_log_names_the_image(bench: DutBench) -> None:
    log = bench.boot()

    assert f"image: {bench.dut.state()['image']}\r\n" in log


def test_boot_log_is_as_long_as_that_of_a_small_kernel(bench: DutBench) -> None:
    log = bench.boot()

    assert 60 <= len(STAMP.findall(log)) <= 100


def test_boot_log_times_never_go_back(bench: DutBench) -> None:
    stamps = [float(stamp) for stamp in STAMP.findall(bench.boot())]

    assert stamps == sorted(stamps)


def test_boot_takes_about_two_seconds(bench: DutBench) -> None:
    bench.boot()

    assert 1.8 < bench.clock.now() < 2.2


def test_boot_log_is_never_faster_than_the_line(bench: DutBench) -> None:
    bench.dut.supply(on=True)
    bench.clock.advance(0.5)

    assert len(bench.printed) <= 0.5 * BYTES_PER_S


def test_boot_log_lines_end_with_cr_lf(bench: DutBench) -> None:
    log = bench.boot()

    assert log.count("\n") == log.count("\r\n") > 0


def test_boot_loses_typed_bytes(bench: DutBench) -> None:
    bench.dut.supply(on=True)
    bench.clock.advance(0.5)
    bench.type("root\r")

    assert bench.wait_for("login: ", 3.0).count("root\r\n") == 0


def test_boot_times_differ_with_a_random_source(tmp_path: Path) -> None:
    bench = DutBench()
    bench.dut = SimulatedDut(bench.clock, Random(7))  # noqa: S311 - luck, no secret
    bench.dut.connect(bench)
    bench.dut.stick(bootable_stick(tmp_path))

    first = STAMP.findall(bench.boot())
    bench.dut.supply(on=False)
    second = STAMP.findall(bench.boot())

    assert first != second


def test_boot_prompt_reports_a_missing_stick(bench: DutBench) -> None:
    bench.dut.stick(None)

    bench.dut.supply(on=True)

    assert "sda: no stick\r\n" in bench.wait_for("boot> ")


def test_boot_prompt_reports_a_stick_without_image() -> None:
    bench = DutBench(MemoryStick())

    bench.dut.supply(on=True)

    assert "sda: no bootable image\r\n" in bench.wait_for("boot> ")


def test_boot_prompt_reports_a_stick_that_fails(tmp_path: Path) -> None:
    stick = bootable_stick(tmp_path)
    stick.broken = True
    bench = DutBench(stick)

    bench.dut.supply(on=True)

    assert "sda: I/O error\r\n" in bench.wait_for("boot> ")


@pytest.mark.parametrize("typed", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_boot_prompt_is_printed_again_after_ctrl_c_and_ctrl_d(typed: str) -> None:
    bench = DutBench()
    bench.dut.supply(on=True)
    bench.wait_for("boot> ")

    bench.type(typed)

    assert "Press Enter" in bench.wait_for("boot> ")


def test_boot_prompt_tries_again_on_enter(bench: DutBench, tmp_path: Path) -> None:
    bench.dut.stick(None)
    bench.dut.supply(on=True)
    bench.wait_for("boot> ")
    bench.dut.stick(bootable_stick(tmp_path))

    bench.type("\r")

    assert "image: demo-1" in bench.wait_for("login: ")


def test_boot_prompt_does_not_boot_a_late_stick_by_itself(bench: DutBench, tmp_path: Path) -> None:
    bench.dut.stick(None)
    bench.dut.supply(on=True)
    bench.wait_for("boot> ")

    bench.dut.stick(bootable_stick(tmp_path))
    bench.clock.advance(10.0)

    assert bench.phase == "boot prompt"


def test_boot_prompt_is_left_by_a_reset(bench: DutBench, tmp_path: Path) -> None:
    bench.dut.stick(None)
    bench.dut.supply(on=True)
    bench.wait_for("boot> ")
    bench.dut.stick(bootable_stick(tmp_path))

    bench.pin(ControlPin.RESET, PinLevel.LOW)
    bench.pin(ControlPin.RESET, PinLevel.FLOATING)

    assert "image: demo-1" in bench.wait_for("login: ")


def test_removed_stick_is_one_error_in_a_running_system(bench: DutBench, tmp_path: Path) -> None:
    bench.boot()

    bench.dut.stick(None)
    bench.dut.stick(bootable_stick(tmp_path))
    bench.dut.stick(None)
    bench.clock.advance(1.0)

    assert bench.printed.count("sda: I/O error\r\n") == 1


def test_removed_stick_ends_a_boot(bench: DutBench) -> None:
    bench.dut.supply(on=True)
    bench.wait_for("smp: Bringing up")

    bench.dut.stick(None)
    bench.clock.advance(10.0)

    assert bench.printed.endswith("no root file system\r\n")
    assert bench.phase == "hung"


def test_removed_stick_is_missing_for_the_boot_rom(bench: DutBench) -> None:
    bench.dut.supply(on=True)

    bench.dut.stick(None)

    assert "sda: no stick" in bench.wait_for("boot> ")


def test_stick_that_is_given_twice_is_not_removed(bench: DutBench, tmp_path: Path) -> None:
    stick = bootable_stick(tmp_path)
    bench.dut.stick(stick)
    bench.boot()

    bench.dut.stick(stick)
    bench.clock.advance(1.0)

    assert "I/O error" not in bench.printed


def test_hang_in_boot_stops_half_way(bench: DutBench) -> None:
    bench.dut.fault("hang_in_boot", {})

    bench.dut.supply(on=True)
    bench.clock.advance(10.0)

    assert 30 <= len(STAMP.findall(bench.printed)) <= 50
    assert bench.phase == "hung"


def test_hang_in_boot_is_over_after_the_fault_and_a_reset(bench: DutBench) -> None:
    bench.dut.fault("hang_in_boot", {"on": True})
    bench.dut.supply(on=True)
    bench.clock.advance(10.0)
    bench.dut.fault("hang_in_boot", {"on": False})

    bench.pin(ControlPin.RESET, PinLevel.LOW)
    bench.pin(ControlPin.RESET, PinLevel.FLOATING)

    assert bench.wait_for("login: ")


def test_hang_in_boot_outlasts_its_fault(bench: DutBench) -> None:
    bench.dut.fault("hang_in_boot", {})
    bench.dut.supply(on=True)
    bench.clock.advance(10.0)

    bench.dut.fault("hang_in_boot", {"on": False})
    bench.clock.advance(10.0)

    assert bench.phase == "hung"
