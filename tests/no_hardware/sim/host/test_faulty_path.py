"""The log of requests to a board needs bounded memory."""

from __future__ import annotations

from hil.sim.host.faulty_path import RequestLog
from hil.sim.interfaces import Urb
from tests.support.manual_clock import ManualClock


def test_request_log_keeps_the_first_bytes_of_a_large_request() -> None:
    log = RequestLog(ManualClock())
    large = Urb(0, False, bytes(8), b"x" * (4 << 20), 4 << 20, "usbip", lambda *_: None)
    request = log.begin(large)
    log.end(request, 0, b"y" * (4 << 20))

    ((kept,), _) = log.since(0)
    assert len(kept["data"]) <= 2 * 2 * 2048
