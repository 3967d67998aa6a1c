"""Base classes of the drivers: they belong to one board and refuse clients that do not have it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpc import StatusCode
from jumpstarter.driver import Driver, export

from hil.jumpstarter.exporter.access_queue import PEER
from hil.jumpstarter.protocol.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["BoardDriver", "SupplyDriver"]


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
