"""Vendor requests to the board's control interface."""

from __future__ import annotations

import pytest

from hil.sim.interfaces import ControlPin, MuxPosition, PinLevel
from tests.support.board_bench import (
    CONFIG,
    FORCE_ON,
    IN,
    OUT,
    POWER,
    POWER_ON,
    READ,
    REFRESH,
    SET_PIN,
    STALL,
    STORAGE,
    BoardBench,
)


def test_version_is_read_without_a_refresh() -> None:
    bench = BoardBench(version="0.09", git_ref="abc1234-dirty")

    assert bench.control(IN, READ, 0, data=64).data == b"0.09 git-ref: abc1234-dirty"


@pytest.mark.parametrize(
    ("key", "text"),
    [(1, b"0.00W 0.00V 0.00A"), (2, b"0.00V"), (3, b"0.00A")],
    ids=["power", "voltage", "current"],
)
def test_readings_are_zero_before_the_first_refresh(key: int, text: bytes) -> None:
    bench = BoardBench()
    bench.board.draw_changed(1.0, 5.0)
    bench.clock.advance(3)

    assert bench.control(IN, READ, key, data=64).data == text


def test_reply_is_cut_to_the_requested_length() -> None:
    assert BoardBench().control(IN, READ, 0, data=4).data == b"0.09"


@pytest.mark.parametrize(("key", "size"), [(0, 64), (1, 256), (2, 64), (3, 32), (4, 32), (5, 32)], ids=str)
def test_setting_reads_back_padded_to_its_field(key: int, size: int) -> None:
    bench = BoardBench()

    bench.set_config(key, b"value")

    assert bench.read(CONFIG, key) == b"value".ljust(size, b"\0")


def test_setting_reads_back_old_until_the_next_refresh() -> None:
    bench = BoardBench()
    bench.control(OUT, REFRESH)

    bench.set_config(0, b"new")

    assert bench.control(IN, CONFIG, 0, data=64).data == bytes(64)
    assert bench.state["settings"]["name"] == "new"


def test_setting_is_cleared_by_no_data() -> None:
    bench = BoardBench()
    bench.set_config(0, b"old")

    bench.set_config(0, b"")

    assert bench.read(CONFIG, 0) == bytes(64)


def test_setting_longer_than_its_field_is_cut_without_an_error() -> None:
    bench = BoardBench()

    transfer = bench.set_config(3, b"x" * 40)

    assert transfer.status == 0
    assert bench.read(CONFIG, 3) == b"x" * 32


def test_request_with_256_bytes_is_accepted() -> None:
    bench = BoardBench()

    transfer = bench.set_config(1, b"t" * 256)

    assert transfer.status == 0
    assert bench.read(CONFIG, 1) == b"t" * 256


@pytest.mark.parametrize("length", [257, 512])
def test_request_with_more_than_256_bytes_stops_usb_until_power_goes(length: int) -> None:
    bench = BoardBench()
    refused = bench.set_config(1, b"t" * length)
    asked, typed = bench.control(IN, READ, 0, data=64), bench.send(b"x")
    bench.board.reset()
    bench.clock.advance(60.0)

    before = (refused.status, asked.ends, typed.ends, bench.state["usb_stopped"])
    bench.board.power_loss()
    bench.board.power_up()

    assert before == (STALL, 0, 0, True)
    assert (asked.ends, bench.control(IN, READ, 0, data=64).status) == (1, 0)


@pytest.mark.parametrize(
    ("number", "value", "data"),
    [
        (POWER, 5, b""),
        (STORAGE, 3, b""),
        (CONFIG, 6, b"x"),
        (READ, 0, b""),
        (SET_PIN, 5, b"\0"),
        (SET_PIN, 0, b""),
        (SET_PIN, 0, b"\3"),
        (6, 0, b""),
        (POWER, 256, b""),
    ],
)
def test_undefined_request_stalls(number: int, value: int, data: bytes) -> None:
    assert BoardBench().control(OUT, number, value, data=data).status == STALL


@pytest.mark.parametrize(
    ("number", "value"), [(REFRESH, 0), (POWER, 0), (STORAGE, 0), (CONFIG, 6), (READ, 4), (SET_PIN, 0)]
)
def test_undefined_read_stalls(number: int, value: int) -> None:
    assert BoardBench().control(IN, number, value, data=64).status == STALL


@pytest.mark.parametrize(
    ("index", "status"), [(3, 0), (0x0103, 0), (0xFF03, 0), (0, STALL), (2, STALL), (0x0300, STALL)]
)
def test_interface_number_counts_by_its_low_byte_only(index: int, status: int) -> None:
    assert BoardBench().control(OUT, REFRESH, 0, index).status == status


def test_refresh_ignores_its_value() -> None:
    assert BoardBench().control(OUT, REFRESH, 99, data=b"noise").status == 0


@pytest.mark.parametrize("kind", [0x40, 0x42, 0x43, 0x5F])
def test_request_to_another_recipient_than_an_interface_stalls(kind: int) -> None:
    assert BoardBench().control(kind, REFRESH, 0, 3).status == STALL


def test_read_of_no_bytes_succeeds() -> None:
    transfer = BoardBench().control(IN, READ, 0, data=0)

    assert (transfer.status, transfer.data) == (0, b"")


def test_storage_requests_move_the_stick() -> None:
    bench = BoardBench()

    for value in (1, 2, 0):
        bench.control(OUT, STORAGE, value)

    assert bench.positions == [MuxPosition.HOST, MuxPosition.DUT, MuxPosition.OFF]


def test_storage_request_for_the_same_position_changes_nothing() -> None:
    bench = BoardBench()

    bench.control(OUT, STORAGE, 1)
    bench.control(OUT, STORAGE, 1)

    assert bench.positions == [MuxPosition.HOST]


@pytest.mark.parametrize(
    ("value", "pin"),
    [(0, ControlPin.RESET), (1, ControlPin.A), (2, ControlPin.B), (3, ControlPin.C), (4, ControlPin.D)],
    ids=str,
)
def test_pin_requests_drive_the_named_pin(value: int, pin: ControlPin) -> None:
    bench = BoardBench()
    bench.control(OUT, POWER, FORCE_ON)

    bench.control(OUT, SET_PIN, value, data=b"\1")

    assert bench.dut.pins == [(pin, PinLevel.HIGH)]


def test_pin_request_uses_only_its_first_byte() -> None:
    bench = BoardBench()

    bench.control(OUT, SET_PIN, 1, data=b"\0\7\7")

    assert bench.dut.pins == [(ControlPin.A, PinLevel.LOW)]


def test_request_is_accepted_before_it_is_executed() -> None:
    bench = BoardBench()
    bench.set_config(3, b"w10,p1")

    transfer = bench.control(OUT, POWER, POWER_ON)

    assert transfer.status == 0
    assert not bench.state["supply"]


def test_config_request_uses_a_block_even_for_the_same_value() -> None:
    bench = BoardBench()

    for _ in range(3):
        bench.set_config(0, b"same")

    assert bench.state["flash"] == {"blocks_used": 3, "erases": 0}
