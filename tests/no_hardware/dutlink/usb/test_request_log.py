"""The last requests to a board, folded so that what was done to the DUT stays in sight."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.usb.protocol import ConfigKey, PowerAction, ReadKey, Request
from hil.dutlink.usb.request_log import LastRequests
from hil.errors import RequestStalledError
from tests.support.fake_bus import FakeBoard, host_with

if TYPE_CHECKING:
    from pathlib import Path


def note(
    requests: LastRequests, request: Request, value: int, sent: bytes | None = b"", status: str = "ok"
) -> None:
    requests.add(time.monotonic(), request, value, sent, status)


def test_last_requests_name_requests_in_the_firmware_s_words(fake: FakeBoard, dev: Path) -> None:
    with open_driver(host_with(fake, dev=dev), console=False) as board:
        began_s = time.monotonic()
        board.power.force_on()
        board.storage.off()
        board.pins.low("a")

        noted = [f"{one.name} {one.value} {one.status}" for one in board.requests.since(began_s)]

    assert noted == ["power force-on ok", "storage off ok", "set-pin a low ok"]


def test_last_requests_have_the_error_of_a_failed_request(fake: FakeBoard, dev: Path) -> None:
    with open_driver(host_with(fake, dev=dev), console=False) as board:
        fake.errors.append(errno.EPIPE)
        with pytest.raises(RequestStalledError):
            board.power.force_on()

        assert list(board.requests)[-1].status == "RequestStalledError"


def test_last_requests_combine_readings_in_a_row() -> None:
    requests = LastRequests(kept=3)
    note(requests, Request.POWER, PowerAction.ON)
    for _ in range(1000):
        note(requests, Request.REFRESH, 0)
        note(requests, Request.READ, ReadKey.POWER)

    assert [(one.name, one.value, one.count) for one in requests] == [("power", "on", 1), ("meter", "", 2000)]


def test_last_requests_do_not_combine_readings_across_an_action() -> None:
    requests = LastRequests()
    note(requests, Request.READ, ReadKey.POWER)
    note(requests, Request.POWER, PowerAction.ON)
    note(requests, Request.READ, ReadKey.POWER)

    assert [one.name for one in requests] == ["meter", "power", "meter"]


def test_last_requests_combine_equal_failures_but_not_equal_actions() -> None:
    requests = LastRequests()
    for status in ("ok", "ok", "BoardTimeoutError", "BoardTimeoutError"):
        note(requests, Request.POWER, PowerAction.ON, status=status)

    assert [(one.status, one.count) for one in requests] == [("ok", 1), ("ok", 1), ("BoardTimeoutError", 2)]


def test_last_requests_have_the_written_value_of_a_setting() -> None:
    requests = LastRequests()
    note(requests, Request.CONFIG, ConfigKey.NAME, b"bench 3")

    assert [one.value for one in requests] == ["name = 'bench 3'"]


def test_last_requests_combine_settings_that_are_read_in_a_row() -> None:
    requests = LastRequests()
    for key in ConfigKey:
        note(requests, Request.CONFIG, key, sent=None)

    assert [(one.name, one.value, one.count) for one in requests] == [("settings", "", len(ConfigKey))]


def test_last_requests_show_an_unknown_value_as_its_number() -> None:
    requests = LastRequests()
    note(requests, Request.POWER, 77)

    assert [one.value for one in requests] == ["77"]


def test_last_requests_keep_only_the_newest() -> None:
    requests = LastRequests(kept=5)
    for action in [*PowerAction, *PowerAction]:
        note(requests, Request.POWER, action)

    assert len(list(requests)) == 5


def test_since_leaves_out_earlier_requests() -> None:
    requests = LastRequests()
    note(requests, Request.POWER, PowerAction.ON)
    between_s = time.monotonic()
    note(requests, Request.POWER, PowerAction.OFF)

    assert [one.value for one in requests.since(between_s)] == ["off"]
