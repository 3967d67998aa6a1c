"""Queue of the clients that want a board: while one has exclusive access, calls of all others are refused.

A Jumpstarter controller leases an exporter to one client at a time. An exporter that is reached directly has
no controller and would serve all its clients at once; there the queue keeps them apart. It tells clients by
the connection that a call comes from; the calls of clients that come through a controller all come from one.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import CancelScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["PEER", "AccessQueue", "access_queue_of"]

PEER: contextvars.ContextVar[str] = contextvars.ContextVar("hil-peer", default="")
"""The connection that the present call comes from."""

_queues: dict[str, AccessQueue] = {}


def access_queue_of(serial: str) -> AccessQueue:
    """Return the one queue of a board in this process."""
    return _queues.setdefault(serial, AccessQueue())


class AccessQueue:
    """The clients of one board, in order of arrival. For use in the event loop that serves them."""

    def __init__(self) -> None:
        self._entries: deque[tuple[object, str, str]] = deque()
        self._changed = asyncio.Condition()

    def refusal(self) -> str:
        """Return why the present call must be refused, or an empty string if it may be done."""
        peer = PEER.get()
        if not self._entries or self._entries[0][1] == peer:
            return ""
        return f"the board is in use by {self._entries[0][2]}"

    @asynccontextmanager
    async def exclusive(self, name: str, on_wait: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
        """Wait until this client is first in the queue, and keep it there for the block.

        Args:
            name: Name of the client, shown to the others.
            on_wait: Called with the holder's name, at first and whenever the holder changes.
        """
        ticket = object()
        self._entries.append((ticket, PEER.get(), name))
        try:
            reported = None
            while self._entries[0][0] is not ticket:
                holder = self._entries[0][2]
                if holder != reported:
                    reported = holder
                    await on_wait(holder)
                async with self._changed:
                    if self._entries[0][2] == holder and self._entries[0][0] is not ticket:
                        await self._changed.wait()
            yield
        finally:
            self._entries = deque(entry for entry in self._entries if entry[0] is not ticket)
            with CancelScope(shield=True):
                async with self._changed:
                    self._changed.notify_all()
