"""What a control request costs through the driver, against pyusb's bare `ctrl_transfer`.

Both ask the same simulated board for its version, through the same pyusb backend, and take turns, so that a
busy machine slows both.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import usb.core

from hil.dutlink.discovery import open_link
from hil.dutlink.host import Host
from hil.dutlink.usb.protocol import REPLY_SIZE, VENDOR_IN, ReadKey, Request, UsbId
from hil.sim.backend.backend import simulated_host
from hil.sim.process import SimulatorProcess
from tests.bench.ratios import Ratio, interleaved, rows
from tests.support.harness import show

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROL_INTERFACE = 3
LIMIT_MS = 2000
GOAL = 1.10


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50, help="how many requests a turn sends")
    parser.add_argument("--repeats", type=int, default=80, help="how many pairs of turns count")
    options = parser.parse_args()
    with SimulatorProcess(boards=1) as simulator:
        there = simulated_host(simulator.ready)
        host = Host(there.label, there.backend, there.dev, there.sys)
        return show(rows(_measure(host, options.requests, options.repeats)))


def _measure(host: Host, requests: int, repeats: int) -> list[Ratio]:
    """Time the same request both ways.

    Raises:
        UnavailableError: The simulated board cannot be used.
    """
    bare = _bare_request(host)
    reached = open_link(host)
    link = reached.link
    if link is None:
        raise reached.result.error or LookupError(host.label)
    ours = partial(link.control_in, Request.READ, ReadKey.VERSION)
    pairs = interleaved(partial(_seconds, bare, requests), partial(_seconds, ours, requests), repeats)
    link.close()
    return [Ratio.of("a control request", pairs, GOAL)]


def _bare_request(host: Host) -> Callable[[], object]:
    device: Any = usb.core.find(
        idVendor=UsbId.VENDOR, idProduct=UsbId.FIRMWARE, backend=host.backend and host.backend()
    )
    return partial(
        device.ctrl_transfer,
        VENDOR_IN,
        Request.READ,
        ReadKey.VERSION,
        CONTROL_INTERFACE,
        REPLY_SIZE,
        LIMIT_MS,
    )


def _seconds(request: Callable[[], object], count: int) -> float:
    """Send `count` requests; seconds for one of them."""
    began = time.perf_counter()
    for _ in range(count):
        request()
    return (time.perf_counter() - began) / count


if __name__ == "__main__":
    sys.exit(main())
