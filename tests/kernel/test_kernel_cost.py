"""What the driver costs on the real stack, against bare pyusb, and whether the console keeps pace."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import usb.core
import usb.util

from hil.dutlink.discovery import list_boards, open_link
from hil.dutlink.host import Host
from hil.dutlink.usb.protocol import ReadKey, Request
from tests.bench.ratios import Ratio, interleaved, rows

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST_GOAL = 2.0
"""A bound against decay: without KVM Python runs five times as slow, and the kernel does not.

1.00x was seen on a quiet machine; the goal outside is 1.1.
"""

FIND_GOAL = 2.5
"""Another such bound; 1.46x was seen on a quiet machine.

Ours does more than bare pyusb's find with serial numbers: it also asks each board for its version.
"""

REQUESTS = 20
REPEATS = 15


def seconds(act: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        act()
    return (time.perf_counter() - began) / count


def bare_find() -> None:
    """Every board's serial number, as pyusb's users read it."""
    for device in usb.core.find(find_all=True, idVendor=0x2B23, idProduct=0x1012):
        usb.util.get_string(device, device.iSerialNumber)
        usb.util.dispose_resources(device)


def check(ratio: Ratio, request: pytest.FixtureRequest) -> None:
    """Hold a ratio to its bound, and leave its figure in the JUnit file and at the end of the stage."""
    _, (figures, holds) = rows([ratio])
    request.node.user_properties.append((ratio.name, figures))
    assert holds, figures


@pytest.fixture
def device(serial: str) -> Any:
    return usb.core.find(idVendor=0x2B23, serial_number=serial)


def test_a_control_request_costs_little_more_than_bare_pyusb(
    serial: str, device: Any, request: pytest.FixtureRequest
) -> None:
    link = open_link(Host(), serial).link
    assert link is not None
    bare = partial(device.ctrl_transfer, 0xC1, 4, 0, 3, 512, 2000)
    ours = partial(link.control_in, Request.READ, ReadKey.VERSION)

    pairs = interleaved(partial(seconds, bare, REQUESTS), partial(seconds, ours, REQUESTS), REPEATS)

    link.close()
    check(Ratio.of("a control request", pairs, REQUEST_GOAL), request)


@pytest.mark.usefixtures("serial", "other_serial")
def test_finding_all_boards_costs_little_more_than_bare_pyusb(
    request: pytest.FixtureRequest,
) -> None:
    pairs = interleaved(partial(seconds, bare_find, 2), partial(seconds, partial(list_boards, Host()), 2), 8)

    check(Ratio.of("finding two boards", pairs, FIND_GOAL), request)
