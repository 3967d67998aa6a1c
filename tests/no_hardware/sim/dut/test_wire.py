"""The wire between simulated DUTs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.wire import Wire
from tests.support.dut_bench import DutBench, bootable_stick

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def three(tmp_path: Path) -> list[DutBench]:
    """Three DUTs on one wire; the third has no power."""
    wire = Wire()
    benches = [DutBench(bootable_stick(tmp_path, f"dut-{number}")) for number in range(3)]
    for bench in benches:
        bench.dut.wire = wire.plug_in()
    for bench in benches[:2]:
        bench.log_in()
    return benches


def test_wire_carries_a_line_to_each_other_dut_that_is_up(three: list[DutBench]) -> None:
    one, two, third = three

    one.run("wire send hello there")

    assert two.run("wire receive") == "hello there\r\n"
    assert not third.dut.wire.received
    assert not one.dut.wire.received


def test_wire_send_fails_if_no_other_dut_is_up(three: list[DutBench]) -> None:
    one, two, _ = three
    two.dut.supply(on=False)

    assert one.run("wire send hello") == "wire: no other DUT is up\r\n"
    assert one.run("echo $?") == "1\r\n"


def test_wire_receive_waits_for_a_line_until_its_limit(three: list[DutBench]) -> None:
    one = three[0]
    began_s = one.clock.now()

    assert one.run("wire receive 2") == "wire: nothing came for 2 s\r\n"
    assert one.clock.now() - began_s >= 2


def test_wire_loses_what_a_system_did_not_read(three: list[DutBench]) -> None:
    one, two, _ = three
    one.run("wire send lost")
    two.type("reboot\r")
    two.wait_for("login: ", 30)

    assert not two.dut.wire.received


@pytest.mark.parametrize("words", ["", "send", "receive soon", "other"])
def test_wire_tells_its_use(three: list[DutBench], words: str) -> None:
    assert three[0].run(f"wire {words}").startswith("usage: wire send TEXT")


def test_wire_end_without_a_wire_reaches_no_dut(tmp_path: Path) -> None:
    alone = DutBench(bootable_stick(tmp_path))
    alone.log_in()

    assert "no other DUT" in alone.run("wire send hello")
