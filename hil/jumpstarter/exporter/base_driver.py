"""Base classes of the drivers: they belong to one board and refuse clients that do not have it.

A Jumpstarter controller leases an exporter to one client at a time. An exporter that is reached directly has
no controller and would serve all its clients at once; there a queue keeps them apart: while one client has
exclusive access, calls of all others are refused. The queue tells clients by the connection that a call comes
from; the calls of clients that come through a controller all come from one.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import CancelScope
from grpc import StatusCode
from jumpstarter.driver import Driver, export

from hil.jumpstarter.protocol.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["PEER", "AccessQueue", "BoardDriver", "SupplyDriver", "access_queue_of"]

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


@dataclass(kw_only=True)
class BoardDriver(Driver):
    """A driver of a board, or of a part of it.

    Attributes:
        tenant: The Jumpstarter lease that the driver was made for.
        access_queue: The clients of the board.
    """

    tenant: Any  # a `Tenant`; Jumpstarter checks fields with pydantic, which need not know it
    access_queue: Any  # an `AccessQueue`

    async def DriverCall(self, request: Any, context: Any) -> Any:
        """Do a call, or refuse it if another client has the board."""
        await self._admit(context)
        return await super().DriverCall(request, context)

    def StreamingDriverCall(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Do a call with many answers, or refuse it if another client has the board."""
        refusal = self._refusal(context)
        answers: AsyncIterator[Any] = (
            _refuse(context, refusal) if refusal else super().StreamingDriverCall(request, context)
        )
        return answers

    @asynccontextmanager
    async def Stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Open a stream, or refuse it if another client has the board; a run's session waits in the queue."""
        if getattr(request, "method", "") == "session":
            PEER.set(context.peer())
        else:
            await self._admit(context)
        async with super().Stream(request, context) as stream:
            yield stream

    async def _admit(self, context: Any) -> None:
        refusal = self._refusal(context)
        if refusal:
            await context.abort(StatusCode.RESOURCE_EXHAUSTED, refusal)

    def _refusal(self, context: Any) -> str:
        """Return why the call must be refused, or an empty string."""
        PEER.set(context.peer())
        refusal: str = self.access_queue.refusal()
        return refusal


@dataclass(kw_only=True)
class SupplyDriver(BoardDriver):
    """A driver that can force the supply.

    Both `power` and `board` are such drivers: stock clients call `power`, `board` has commands for `j`.
    """

    @export
    @in_thread
    def force_on(self) -> None:
        """Switch the supply on at once, without the board's sequence."""
        with self.tenant.board() as board:
            board.power.force_on()

    @export
    @in_thread
    def force_off(self) -> None:
        """Switch the supply off at once, without the board's sequence."""
        with self.tenant.board() as board:
            board.power.force_off()


async def _refuse(context: Any, refusal: str) -> AsyncIterator[Any]:
    """Abort the call; a generator, as the answers would be."""
    await context.abort(StatusCode.RESOURCE_EXHAUSTED, refusal)
    yield  # never reached: abort raises
