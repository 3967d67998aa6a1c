"""The descriptors of a board, compared with `lsusb` output of a real one."""

from __future__ import annotations

import pytest

from hil.sim.board.descriptors import version_bcd
from tests.support.board_bench import BoardBench

GET_DESCRIPTOR = 6


def descriptor(kind: int, index: int = 0, language: int = 0, length: int = 255) -> bytes:
    return BoardBench().control(0x80, GET_DESCRIPTOR, kind << 8 | index, language, length).data


def test_device_descriptor_is_the_boards() -> None:
    expected = "12 01 1002 00 00 00 40 232b 1210 0900 01 02 03 01"

    assert descriptor(1) == bytes.fromhex(expected)


def test_configuration_has_four_interfaces_and_no_association() -> None:
    expected = """
        09 02 5e00 04 01 00 80 7d
        09 04 00 00 01 02 02 00 00  05 24 00 10 01  04 24 02 00  05 24 06 00 01  05 24 01 00 01
        07 05 81 03 0800 ff
        09 04 01 00 02 0a 00 00 00  07 05 82 02 4000 00  07 05 01 02 4000 00
        09 04 02 00 00 fe 01 01 00  09 21 0b f401 0008 1a01
        09 04 03 00 00 ff 01 01 00
    """

    assert descriptor(2) == bytes.fromhex(expected)


def test_object_store_has_the_usb_2_extension_with_nothing_switched_on() -> None:
    assert descriptor(15) == bytes.fromhex("05 0f 0c00 01  07 10 02 00000000")


@pytest.mark.parametrize(
    ("index", "text"),
    [(1, "Red Hat Inc."), (2, "Dutlink"), (3, "5a1c0e01")],
    ids=["maker", "product", "serial"],
)
def test_strings_are_told_in_us_english(index: int, text: str) -> None:
    answer = descriptor(3, index, 0x0409)

    assert answer[2:].decode("utf-16-le") == text
    assert answer[:2] == bytes((len(answer), 3))


def test_string_zero_lists_the_one_language_whatever_is_asked() -> None:
    assert descriptor(3, 0, 0x0407) == bytes.fromhex("04 03 0904")


@pytest.mark.parametrize(
    ("value", "language"),
    [(0x0301, 0x0407), (0x0301, 0), (0x0304, 0x0409), (0x0600, 0), (0x2100, 0), (0x0400, 0), (0, 0)],
    ids=["German", "no language", "string 4", "qualifier", "DFU", "interface", "nothing"],
)
def test_missing_descriptor_stalls(value: int, language: int) -> None:
    assert BoardBench().control(0x80, GET_DESCRIPTOR, value, language, 255).status == -32


def test_descriptor_is_cut_to_what_was_asked_for() -> None:
    assert descriptor(2, length=9) == bytes.fromhex("09 02 5e00 04 01 00 80 7d")


def test_descriptor_index_other_than_zero_makes_no_difference() -> None:
    assert descriptor(1, index=5) == descriptor(1)


@pytest.mark.parametrize(
    ("version", "bcd"), [("0.09", 0x0009), ("0.07", 0x0007), ("1.10", 0x0110), ("12.34", 0x1234), ("0.0", 0)]
)
def test_version_becomes_bcd_digit_by_digit(version: str, bcd: int) -> None:
    assert version_bcd(version) == bcd


def test_version_is_told_as_the_devices_release() -> None:
    board = BoardBench(version="0.08").board

    assert board.identity.bcd_device == 0x0008


def test_identity_agrees_with_the_descriptors() -> None:
    identity = BoardBench().board.identity

    assert (identity.vendor_id, identity.product_id, identity.speed) == (0x2B23, 0x1012, 2)
    assert identity.interfaces == ((2, 2, 0), (10, 0, 0), (0xFE, 1, 1), (0xFF, 1, 1))
