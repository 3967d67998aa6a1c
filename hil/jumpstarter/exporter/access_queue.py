"""Who may call the drivers of a board: while somebody has it to themselves, nobody else.

A Jumpstarter controller keeps clients apart. An exporter that is reached directly has none, and would serve
all of them at once; there this is what keeps two clients off one board. Clients are told apart by the
connection that they call from; those that come through the controller all come from one.
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

_of_board: dict[str, AccessQueue] = {}


def access_queue_of(serial: str) -> AccessQueue:
    """Return the one object for a board of this process."""
    return _of_board.setdefault(serial, AccessQueue())


class AccessQueue:
    """One board's clients. Only for the event loop that serves them."""

    def __init__(self) -> None:
        self._line: deque[tuple[object, str, str]] = deque()
        self._moved = asyncio.Condition()

    def refusal(self) -> str:
        """Why the present call must not be done; empty if it may."""
        peer = PEER.get()
        if not self._line or self._line[0][1] == peer:
            return ""
        return f"the board is in use by {self._line[0][2]}"

    @asynccontextmanager
    async def exclusive(self, name: str, on_wait: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
        """Have the board to oneself; first come, first served.

        Args:
            name: Who comes, for others to read.
            on_wait: Told who has it, at first and when that changes.
        """
        ticket = object()
        self._line.append((ticket, PEER.get(), name))
        try:
            told = None
            while self._line[0][0] is not ticket:
                holder = self._line[0][2]
                if holder != told:
                    told = holder
                    await on_wait(holder)
                async with self._moved:
                    if self._line[0][2] == holder and self._line[0][0] is not ticket:
                        await self._moved.wait()
            yield
        finally:
            self._line = deque(entry for entry in self._line if entry[0] is not ticket)
            with CancelScope(shield=True):
                async with self._moved:
                    self._moved.notify_all()
