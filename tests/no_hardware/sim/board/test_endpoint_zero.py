"""Endpoint zero: standard requests, and requests to the serial port and DFU."""

from __future__ import annotations

import struct

import pytest

from tests.support.board_bench import STALL, BoardBench

GET_STATUS, CLEAR_FEATURE, SET_FEATURE = 0, 1, 3
GET_CONFIGURATION, SET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE = 8, 9, 10, 11
SET_LINE_CODING, GET_LINE_CODING, SET_CONTROL_LINE_STATE, SEND_BREAK = 0x20, 0x21, 0x22, 0x23


def test_configuration_that_was_set_is_told() -> None:
    bench = BoardBench()

    bench.control(0x00, SET_CONFIGURATION, 1, 0)

    assert bench.control(0x80, GET_CONFIGURATION, 0, 0, 1).data == b"\x01"


def test_bus_reset_takes_the_configuration_away() -> None:
    bench = BoardBench()
    bench.control(0x00, SET_CONFIGURATION, 1, 0)

    bench.board.reset()

    assert bench.control(0x80, GET_CONFIGURATION, 0, 0, 1).data == b"\x00"


def test_second_configuration_does_not_exist() -> None:
    assert BoardBench().control(0x00, SET_CONFIGURATION, 2, 0).status == STALL


def test_remote_wakeup_shows_in_the_device_status() -> None:
    bench = BoardBench()

    bench.control(0x00, SET_FEATURE, 1, 0)

    assert bench.control(0x80, GET_STATUS, 0, 0, 2).data == b"\x02\x00"


def test_halted_endpoint_stalls_until_the_halt_is_cleared() -> None:
    bench = BoardBench()
    bench.control(0x02, SET_FEATURE, 0, 0x82)
    halted = bench.receive()

    bench.control(0x02, CLEAR_FEATURE, 0, 0x82)

    assert halted.status == STALL
    assert bench.receive().status is None


def test_halt_ends_transfers_that_wait_already() -> None:
    bench = BoardBench()
    waiting = bench.receive()

    bench.control(0x02, SET_FEATURE, 0, 0x82)

    assert waiting.status == STALL


def test_halt_shows_in_the_endpoint_status() -> None:
    bench = BoardBench()

    bench.control(0x02, SET_FEATURE, 0, 0x01)

    assert bench.control(0x82, GET_STATUS, 0, 0x01, 2).data == b"\x01\x00"
    assert bench.send(b"x").status == STALL


@pytest.mark.parametrize("address", [0x00, 0x80])
def test_endpoint_zero_refuses_to_be_halted_and_goes_on(address: int) -> None:
    bench = BoardBench()

    halted = bench.control(0x02, SET_FEATURE, 0, address)

    assert halted.status == STALL
    assert bench.control(0x82, GET_STATUS, 0, address, 2).data == b"\x00\x00"


def test_endpoints_that_the_controller_lacks_count_as_halted() -> None:
    assert BoardBench().control(0x82, GET_STATUS, 0, 0x05, 2).data == b"\x01\x00"


@pytest.mark.parametrize(
    ("index", "value", "status"), [(0, 0, 0), (3, 0, 0), (9, 0, 0), (0, 1, STALL), (256, 0, STALL)]
)
def test_only_alternate_setting_zero_can_be_chosen(index: int, value: int, status: int) -> None:
    assert BoardBench().control(0x01, SET_INTERFACE, value, index).status == status


@pytest.mark.parametrize(("index", "status"), [(0, 0), (200, 0), (256, STALL)])
def test_alternate_setting_of_any_8_bit_interface_is_told(index: int, status: int) -> None:
    assert BoardBench().control(0x81, GET_INTERFACE, 0, index, 1).status == status


@pytest.mark.parametrize(
    ("kind", "number"),
    [(0x80, 99), (0x00, 99), (0x82, 6), (0x81, 6), (0xC0, 4), (0x40, 0), (0xE1, 0), (0x03, 0)],
)
def test_unknown_standard_requests_stall(kind: int, number: int) -> None:
    assert BoardBench().control(kind, number, 0x0100, 0, 8 if kind >= 0x80 else b"").status == STALL


def test_line_coding_begins_as_9600_8n1() -> None:
    assert BoardBench().control(0xA1, GET_LINE_CODING, 0, 0, 7).data == struct.pack("<IBBB", 9600, 0, 0, 8)


def test_line_coding_is_kept_until_a_bus_reset() -> None:
    bench = BoardBench()
    coding = struct.pack("<IBBB", 115200, 2, 1, 7)
    bench.control(0x21, SET_LINE_CODING, 0, 0, coding)
    kept = bench.control(0xA1, GET_LINE_CODING, 0, 0, 7).data

    bench.board.reset()

    assert kept == coding
    assert bench.control(0xA1, GET_LINE_CODING, 0, 0, 7).data == struct.pack("<IBBB", 9600, 0, 0, 8)


def test_undefined_stop_bits_and_parity_become_8n1() -> None:
    bench = BoardBench()

    bench.control(0x21, SET_LINE_CODING, 0, 0, struct.pack("<IBBB", 300, 3, 5, 8))

    assert bench.control(0xA1, GET_LINE_CODING, 0, 0, 7).data == struct.pack("<IBBB", 300, 0, 0, 8)


@pytest.mark.parametrize("length", [0, 6, 8, 64])
def test_line_coding_is_told_in_seven_bytes_or_not_at_all(length: int) -> None:
    assert BoardBench().control(0xA1, GET_LINE_CODING, 0, 0, length).status == STALL


@pytest.mark.parametrize(
    ("number", "index", "data", "status"),
    [
        (SET_CONTROL_LINE_STATE, 0, b"", 0),
        (0x00, 0, b"anything", 0),
        (SET_LINE_CODING, 0, bytes(6), STALL),
        (SET_LINE_CODING, 0, bytes(9), 0),
        (SET_LINE_CODING, 1, bytes(7), STALL),
        (SET_LINE_CODING, 0x100, bytes(7), STALL),
        (SEND_BREAK, 0, b"", STALL),
    ],
)
def test_serial_port_takes_its_own_requests_only(number: int, index: int, data: bytes, status: int) -> None:
    assert BoardBench().control(0x21, number, 0, index, data).status == status


def test_transfer_to_a_missing_endpoint_is_a_line_error() -> None:
    assert BoardBench().submit(5, is_in=True, length=64).status == -71


def test_notification_endpoint_never_sends() -> None:
    bench = BoardBench()

    waiting = bench.submit(1, is_in=True, length=8)
    bench.clock.advance(100)

    assert waiting.status is None
