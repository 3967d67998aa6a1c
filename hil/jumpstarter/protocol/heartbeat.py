"""Whether the other end of a stream is still there: each says so every second, and listens.

A host that loses its power or its network ends no connection; TCP goes on trying for minutes, and gRPC's own
pings, as Jumpstarter sets them, for 200 s.
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
"""After so many silent seconds an exporter is lost to its run."""
RUN_TIMEOUT_S = 20
"""After so many a run is gone for its exporter: longer, since a test may keep its process from talking."""

CHUNK_TIMEOUT_S = 300
"""After so many without the next piece of an image a run has given up; an archive may take its time."""


async def send_heartbeats(say: Callable[[Frame], Awaitable[None]]) -> None:
    """Say every second that this end is there, until the stream ends."""
    with suppress(BrokenResourceError, ClosedResourceError):
        while True:
            await say(Frame(FrameKind.HEARTBEAT))
            await sleep(HEARTBEAT_S)


class HeartbeatMonitor:
    """What was heard of the other end.

    Seconds are counted, not measured: a process that was stopped for a while must not take its own sleep for
    the other's silence.

    Args:
        silence_s: How many silent seconds are too many.
    """

    def __init__(self, silence_s: int) -> None:
        self._silence_s = silence_s
        self._silent = 0

    def frame_received(self) -> None:
        """Something came."""
        self._silent = 0

    async def wait_for_timeout(self) -> str:
        """Wait until nothing came for too long; returns that as a reason."""
        while self._silent < self._silence_s:
            await sleep(HEARTBEAT_S)
            self._silent += 1
        return f"nothing was heard of it for {self._silence_s} s"
