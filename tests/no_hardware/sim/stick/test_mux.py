"""The stick and its mux: when the stick appears on host and DUT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.interfaces import MuxPosition
from tests.no_hardware.sim.stick.stick_bench import SIZE_BYTES, StickBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[StickBench]:
    bench = StickBench(tmp_path)
    yield bench
    bench.stick.close()


def test_stick_is_off_at_first(stick: StickBench) -> None:
    stick.clock.advance(10)

    assert (stick.port.device, stick.node.present, stick.dut) == (None, False, None)


def test_host_lists_the_stick_a_second_after_it_got_it(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 0.9)
    too_early = stick.bus.stock_list()
    stick.clock.advance(0.2)

    assert (too_early, [record.busid for record in stick.bus.stock_list()]) == ([], ["2-1"])


def test_node_appears_after_three_and_a_half_seconds(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 3.39)
    too_early = stick.node.present
    stick.clock.advance(0.32)

    assert (too_early, stick.node.present) == (False, True)


def test_node_has_the_sticks_size(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 4)

    assert stick.node.by_id.stat().st_size == SIZE_BYTES


@pytest.mark.parametrize("position", [MuxPosition.DUT, MuxPosition.OFF])
def test_host_loses_the_stick_at_once_and_its_node_a_little_later(
    stick: StickBench, position: MuxPosition
) -> None:
    stick.move(MuxPosition.HOST, 4)
    stick.move(position, 0.09)
    lingering = stick.node.present
    stick.clock.advance(0.42)

    assert (stick.port.device, lingering, stick.node.present) == (None, True, False)


def test_node_never_appears_if_the_mux_moves_on_in_time(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 3)
    stick.move(MuxPosition.DUT, 10)

    assert (stick.node.present, stick.port.device) == (False, None)


def test_dut_has_the_stick_at_once(stick: StickBench) -> None:
    stick.move(MuxPosition.DUT)

    assert stick.dut is not None
    assert stick.dut.size_bytes == SIZE_BYTES


@pytest.mark.parametrize("position", [MuxPosition.HOST, MuxPosition.OFF])
def test_dut_loses_the_stick_at_once(stick: StickBench, position: MuxPosition) -> None:
    stick.move(MuxPosition.DUT)
    stick.move(position)

    assert stick.dut is None


def test_dut_reads_what_the_host_wrote(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 4)
    with stick.node.by_id.open("r+b") as node:
        node.write(b"flashed")

    stick.move(MuxPosition.DUT)

    assert stick.dut is not None
    assert stick.dut.read(0, 7) == b"flashed"


def test_write_to_the_lingering_node_has_no_effect(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 4)
    stick.move(MuxPosition.DUT)
    with stick.node.by_id.open("r+b") as node:
        node.write(b"too late")

    assert stick.dut is not None
    assert stick.dut.read(0, 8) == bytes(8)


def test_resolved_path_vanishes_with_the_node(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 4)
    resolved = stick.node.by_id.resolve()
    stick.move(MuxPosition.DUT, 1)

    assert not resolved.exists()


def test_second_move_to_the_same_position_changes_nothing(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 2)
    stick.move(MuxPosition.HOST, 1.8)

    assert stick.node.present


def test_stick_that_is_missing_never_appears(stick: StickBench) -> None:
    stick.stick.faults.missing = True
    stick.move(MuxPosition.HOST, 10)

    assert (stick.node.present, stick.port.device) == (False, None)


def test_stick_that_is_found_again_appears(stick: StickBench) -> None:
    stick.stick.faults.missing = True
    stick.move(MuxPosition.HOST, 10)
    stick.stick.faults.missing = False
    stick.stick.apply_faults()
    stick.clock.advance(4)

    assert stick.node.present


def test_node_leaves_while_a_stock_client_has_the_stick(stick: StickBench) -> None:
    class StockClient:
        def detach(self) -> None: ...

    client = StockClient()
    stick.move(MuxPosition.HOST, 4)
    stick.port.import_stock(client)
    away = stick.node.present
    stick.port.release(client)

    assert (away, stick.node.present) == (False, True)


def test_state_of_a_stick(stick: StickBench) -> None:
    stick.move(MuxPosition.HOST, 4)

    truth = stick.stick.state()

    assert (truth["position"], truth["on_bus"], truth["node_present"]) == ("host", True, True)
