"""The DFU interface, which starts the boot loader, and the boot loader."""

from __future__ import annotations

import pytest

from hil.sim.board.board import BootLoader
from hil.sim.interfaces import Urb
from tests.support.board_bench import OUT, POWER, STALL, BoardBench, Transfer

DETACH, GET_STATUS = 0, 3


def left(bench: BoardBench) -> list[float]:
    """Note when the board leaves for its boot loader."""
    times: list[float] = []
    bench.board.on_detach = lambda: times.append(bench.clock.now())
    return times


def ask(loader: BootLoader, setup: str, endpoint: int = 0) -> Transfer:
    transfer = Transfer()

    def complete(status: int, data: bytes) -> None:
        transfer.status, transfer.data = status, data

    packet = bytes.fromhex(setup)
    loader.submit(Urb(endpoint, packet[0] >= 0x80, packet, b"", packet[6], "test", complete))
    return transfer


def test_dfu_of_a_running_board_is_idle() -> None:
    assert BoardBench().control(0xA1, GET_STATUS, 0, 2, 6).data == bytes(6)


def test_dfu_reports_detaching_after_detach() -> None:
    bench = BoardBench()

    bench.control(0x21, DETACH, 500, 2)

    assert bench.control(0xA1, GET_STATUS, 0, 2, 6).data == bytes((0, 0, 0, 0, 1, 0))


@pytest.mark.parametrize(
    ("timeout_ms", "after_s"), [(500, 0.5), (0, 0.01), (1, 0.01), (10, 0.01), (11, 0.02)]
)
def test_dfu_detaches_after_the_requested_ticks(timeout_ms: int, after_s: float) -> None:
    bench = BoardBench()
    times = left(bench)

    bench.control(0x21, DETACH, timeout_ms, 2)
    bench.clock.advance(2)

    assert times == [pytest.approx(after_s)]


def test_dfu_counts_no_ticks_while_a_program_waits() -> None:
    bench = BoardBench()
    times = left(bench)
    bench.set_config(3, b"w10")
    bench.control(0x21, DETACH, 500, 2)

    bench.control(OUT, POWER, 1)
    bench.clock.advance(3)

    assert times == [pytest.approx(1.49)]


def test_dfu_detach_switches_the_supply_off() -> None:
    bench = BoardBench()
    bench.control(OUT, POWER, 3)

    bench.control(0x21, DETACH, 0, 2)
    bench.clock.advance(0.1)

    assert bench.dut.supplies == [True, False]
    assert not bench.board.powered


@pytest.mark.parametrize(("kind", "number"), [(0xA1, 5), (0xA1, 2), (0x21, 1), (0x21, 6)])
def test_dfu_of_a_running_board_stalls_other_requests(kind: int, number: int) -> None:
    assert BoardBench().control(kind, number, 0, 2, 6 if kind >= 0x80 else b"").status == STALL


def test_boot_loader_has_the_given_product_id() -> None:
    loader = BootLoader("5a1c0e01", 0x1012)

    assert (loader.identity.product_id, loader.identity.bcd_device) == (0x1012, 0x0001)
    assert loader.identity.interfaces == ((0xFE, 1, 2),)


def test_boot_loader_has_one_interface_in_dfu_mode() -> None:
    answer = ask(BootLoader("5a1c0e01"), "80 06 0002 0000 ff00")

    expected = "09 02 1b00 01 01 00 80 7d  09 04 00 00 00 fe 01 02 04  09 21 09 fa00 0001 1a01"
    assert answer.data == bytes.fromhex(expected)


def test_boot_loader_has_the_boards_serial_number() -> None:
    loader = BootLoader("5a1c0e01")

    product, serial = (ask(loader, f"80 06 0{index}03 0904 ff00").data for index in (2, 3))

    assert product[2:].decode("utf-16-le") == "Dutlink DFU Mode"
    assert serial[2:].decode("utf-16-le") == "5a1c0e01"


def test_boot_loader_is_idle_and_accepts_abort() -> None:
    loader = BootLoader("5a1c0e01")

    assert ask(loader, "a1 03 0000 0000 0600").data == bytes((0, 0, 0, 0, 2, 0))
    assert ask(loader, "a1 05 0000 0000 0100").data == b"\x02"
    assert ask(loader, "21 06 0000 0000 0000").status == 0


@pytest.mark.parametrize("setup", ["c1 04 0000 0300 4000", "41 01 0300 0300 0000", "21 01 0000 0000 0000"])
def test_boot_loader_refuses_requests_of_a_running_board(setup: str) -> None:
    assert ask(BootLoader("5a1c0e01"), setup).status == STALL


def test_boot_loader_without_power_is_gone() -> None:
    loader = BootLoader("5a1c0e01")

    loader.power_loss()

    assert ask(loader, "80 06 0001 0000 1200").status == -108


def test_boot_loader_answers_after_it_is_plugged_in_again() -> None:
    loader = BootLoader("5a1c0e01")
    loader.power_loss()

    loader.power_up()
    loader.reset()

    assert ask(loader, "80 00 0000 0000 0200").data == b"\0\0"


def test_boot_loader_has_no_waiting_transfer() -> None:
    loader = BootLoader("5a1c0e01")
    urb = Urb(0, True, bytes(8), b"", 0, "test", lambda _status, _data: None)

    assert not loader.cancel(urb)


def test_boot_loader_has_only_endpoint_zero() -> None:
    assert ask(BootLoader("5a1c0e01"), "00 00 0000 0000 0000", endpoint=1).status == -71
