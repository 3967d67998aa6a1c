"""What every driver of ours has in common: it is a part of one board, and answers only who may use that."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpc import StatusCode
from jumpstarter.driver import Driver

from hil.jumpstarter.exporter.access_queue import PEER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Part"]


@dataclass(kw_only=True)
class Part(Driver):
    """A driver that belongs to a board.

    Attributes:
        tenant: The lease that it was made for.
        visitors: Who is at the board.
    """

    tenant: Any  # a `Tenant`; Jumpstarter checks fields with pydantic, which need not know it
    visitors: Any  # a `Visitors`

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
        refusal: str = self.visitors.refusal()
        return refusal


async def _refuse(context: Any, refusal: str) -> AsyncIterator[Any]:
    """Answer nothing."""
    await context.abort(StatusCode.RESOURCE_EXHAUSTED, refusal)
    yield  # never: it raises
