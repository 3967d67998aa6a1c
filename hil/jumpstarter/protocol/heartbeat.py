"""Heartbeats: run and exporter each send a frame every second, and each detects when the other falls silent.

A host that loses its power or its network closes no connection: TCP retries for minutes, and gRPC's own
pings, as Jumpstarter configures them, take 200 s to fail.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from anyio import BrokenResourceError, ClosedResourceError, sleep

from hil.jumpstarter.protocol.frames import Frame, FrameKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = [
    "CHUNK_TIMEOUT_S",
    "EXPORTER_TIMEOUT_S",
    "HEARTBEAT_S",
    "RUN_TIMEOUT_S",
    "HeartbeatMonitor",
    "send_heartbeats",
]

HEARTBEAT_S = 1.0
EXPORTER_TIMEOUT_S = 6
"""A run gives its exporter up after so many seconds without a frame."""
RUN_TIMEOUT_S = 20
"""An exporter gives its run up after so many seconds; longer, since a test may block the run's process."""

CHUNK_TIMEOUT_S = 300
"""An exporter stops a flash after so many seconds without a chunk; a run may be slow to unpack its image."""


async def send_heartbeats(send: Callable[[Frame], Awaitable[None]]) -> None:
    """Send a heartbeat every second until the stream ends."""
    with suppress(BrokenResourceError, ClosedResourceError):
        while True:
            await send(Frame(FrameKind.HEARTBEAT))
            await sleep(HEARTBEAT_S)


class HeartbeatMonitor:
    """Detects that the other end has fallen silent.

    The monitor counts its own sleeps of a second: after this process was stopped for a while, the clock would
    have run on and the other end would look silent.

    Args:
        timeout_s: After how many seconds without a frame the other end is lost.
    """

    def __init__(self, timeout_s: int) -> None:
        self._timeout_s = timeout_s
        self._silent_s = 0

    def frame_received(self) -> None:
        """Start counting again: the other end has sent something."""
        self._silent_s = 0

    async def wait_for_timeout(self) -> str:
        """Wait until no frame came for `timeout_s`; return that as the reason for an error."""
        while self._silent_s < self._timeout_s:
            await sleep(HEARTBEAT_S)
            self._silent_s += 1
        return f"nothing was heard of it for {self._timeout_s} s"
