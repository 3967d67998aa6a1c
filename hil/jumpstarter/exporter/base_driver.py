"""What every driver of ours has in common: it is a part of one board, and answers only who may use that."""

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
    """A driver that belongs to a board.

    Attributes:
        tenant: The lease that it was made for.
        access_queue: Who is at the board.
    """

    tenant: Any  # a `Tenant`; Jumpstarter checks fields with pydantic, which need not know it
    access_queue: Any  # a `AccessQueue`

    async def DriverCall(self, request: Any, context: Any) -> Any:
        """Do a call, unless somebody else has the board."""
        await self._admit(context)
        return await super().DriverCall(request, context)

    def StreamingDriverCall(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Do a call with many answers, unless somebody else has the board."""
        refusal = self._refusal(context)
        answers: AsyncIterator[Any] = (
            _refuse(context, refusal) if refusal else super().StreamingDriverCall(request, context)
        )
        return answers

    @asynccontextmanager
    async def Stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Open a stream, unless somebody else has the board; a run's own stream waits for it in line."""
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
        """Why the call must not be done; empty if it may."""
        PEER.set(context.peer())
        refusal: str = self.access_queue.refusal()
        return refusal


@dataclass(kw_only=True)
class SupplyDriver(BoardDriver):
    """A driver that forces the supply: `power`, where stock clients look, and `board`, which has commands."""

    @export
    @in_thread
    def force_on(self) -> None:
        """Switch the supply on at once."""
        with self.tenant.board() as board:
            board.power.force_on()

    @export
    @in_thread
    def force_off(self) -> None:
        """Switch the supply off at once."""
        with self.tenant.board() as board:
            board.power.force_off()


async def _refuse(context: Any, refusal: str) -> AsyncIterator[Any]:
    """Answer nothing."""
    await context.abort(StatusCode.RESOURCE_EXHAUSTED, refusal)
    yield  # never: it raises
