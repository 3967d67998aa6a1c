"""Connecting to a leased exporter, for as long as it may still answer.

Its hooks may take a while, but it may also have died just now, or its host may have gone dark, which ends no
connection. The controller knows, sooner or later, so it is asked meanwhile.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from anyio import create_task_group, current_time, sleep

from hil.errors import HilError
from hil.jumpstarter.client.direct import CONNECT_LIMIT_S
from hil.jumpstarter.client.lease import LeaseStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hil.jumpstarter.client.lease import ExporterLease

__all__ = ["ExporterGoneError", "ExporterSilentError", "connect_while_leased", "wait_until_ready"]

_FIRST_PAUSE_S = 0.1
_LOOK_EVERY_S = 1.0


class ExporterGoneError(Exception):
    """The lease ended, or its exporter went away, before there was a connection."""


class ExporterSilentError(ExporterGoneError):
    """The lease lasts, but nothing came from the exporter: its host may be dark, which ends no connection."""


async def wait_until_ready(lease: ExporterLease, hooks_s: float) -> None:
    """Wait until a leased exporter lets its run in; gRPC gives up after 20 s, hooks may take longer.

    Args:
        lease: The lease.
        hooks_s: How long the exporter's hooks may take, in seconds.

    Raises:
        ExporterGoneError: There is no use in waiting on.
        HilError: The controller does not answer.
    """
    began_s, pause_s = current_time(), _FIRST_PAUSE_S
    while not (look := await lease.status()).is_ready:
        if look.in_hooks:
            _judge(look, current_time() - began_s, hooks_s, "its hooks did not end")
        else:
            _judge(look, current_time() - began_s, CONNECT_LIMIT_S, "it did not take its lease")
        await sleep(pause_s)
        pause_s = min(2 * pause_s, _LOOK_EVERY_S)


def _judge(look: LeaseStatus, spent_s: float, limit_s: float, silence: str) -> None:
    if look.ended_reason:
        raise ExporterGoneError(look.ended_reason)
    if spent_s >= limit_s:
        raise ExporterSilentError(f"{silence} within {limit_s:.0f} s, though the lease lasts")


@asynccontextmanager
async def connect_while_leased(
    connecting: Any,  # noqa: ANN401 - Jumpstarter's
    lease: ExporterLease,
) -> AsyncIterator[Any]:
    """Connect, but give up when the lease is over, or nothing comes.

    Args:
        connecting: Enters Jumpstarter's client, which would go on trying.
        lease: The lease.

    Raises:
        ExporterGoneError: There was no use in waiting on.
    """
    connected = False
    given_up: list[ExporterGoneError] = []

    async def watch() -> None:
        began_s = current_time()
        while not connected and not given_up:
            await sleep(_LOOK_EVERY_S)
            look = LeaseStatus()
            with suppress(HilError):  # a controller that does not answer says nothing of the exporter
                look = await lease.status()
            try:
                _judge(look, current_time() - began_s, CONNECT_LIMIT_S, "it did not answer")
            except ExporterGoneError as error:
                given_up.append(error)
        if not connected:
            trying.cancel_scope.cancel()

    try:
        async with create_task_group() as trying:
            trying.start_soon(watch)
            async with connecting as root:
                connected = True
                yield root
    except BaseException as error:
        if connected or not given_up:
            raise
        raise given_up[0] from error  # whatever the client and gRPC made of their cancellation
    if not connected:
        raise given_up[0]
