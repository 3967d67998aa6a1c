"""Who the board says it is, on the bus, by request and in its shell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.discovery import list_boards
from hil.dutlink.usb.firmware import OLDEST, FirmwareVersion
from hil.dutlink.usb.protocol import ReadKey, Request
from hil.errors import BoardBusyError, Verdict
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import lock_path

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.usb.control_link import ControlLink


@pytest.mark.hardware(observes_only=True)
def test_the_serial_number_is_eight_lower_case_hex_digits(dutlink: Board) -> None:
    assert re.fullmatch(r"[0-9a-f]{8}", dutlink.serial)


@pytest.mark.hardware(observes_only=True)
def test_the_version_on_the_bus_is_the_one_that_the_firmware_tells(dutlink: Board, link: ControlLink) -> None:
    on_the_bus = FirmwareVersion.from_bcd(link._device.bcdDevice)

    assert str(on_the_bus) == str(dutlink.firmware)


def test_the_shell_tells_the_same_version_as_the_control_request(dutlink: Board, link: ControlLink) -> None:
    by_request = link.control_in(Request.READ, ReadKey.VERSION).decode()

    assert dutlink.console.shell("version").strip() == by_request.strip()


@pytest.mark.hardware(observes_only=True)
def test_its_firmware_is_new_enough(dutlink: Board) -> None:
    assert dutlink.firmware >= OLDEST


def test_a_board_in_use_is_still_listed_as_present(dutlink: Board) -> None:
    verdicts = {result.serial: result.verdict for result in list_boards(dutlink.host)}

    assert verdicts[dutlink.serial] is Verdict.PRESENT


@pytest.mark.hardware(observes_only=True)
def test_nobody_else_can_hold_the_board_and_the_refusal_names_this_test(
    dutlink: Board, request: pytest.FixtureRequest
) -> None:
    if not lock_path(lock_folder(), dutlink.serial).exists():
        pytest.skip("it is held on another machine")
    with pytest.raises(BoardBusyError, match=re.escape(request.node.nodeid[:50])):
        acquire(dutlink.serial, wait_s=0.0)
