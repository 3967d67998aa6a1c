"""Connect to a leased exporter, and give up when the lease ends or the exporter stays silent.

The exporter's hooks may take long, but the exporter may also have died, or its host may have gone dark, which
closes no connection. The controller learns of it sooner or later, so it is asked while the run tries to
connect.
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
_INTERVAL_S = 1.0


class ExporterGoneError(Exception):
    """The lease ended, or its exporter went away, before the run was connected."""


class ExporterSilentError(ExporterGoneError):
    """The lease lasts, but the exporter sends nothing: its host may be dark, which closes no connection."""


async def wait_until_ready(lease: ExporterLease, hooks_s: float) -> None:
    """Wait until a leased exporter accepts its run; gRPC gives up after 20 s, hooks may take longer.

    Args:
        lease: The lease.
        hooks_s: How long the exporter's hooks may take, in seconds.

    Raises:
        ExporterGoneError: The lease has ended, or the exporter was silent for too long.
        HilError: The controller does not answer.
    """
    began_s, pause_s = current_time(), _FIRST_PAUSE_S
    while not (status := await lease.status()).is_ready:
        if status.in_hooks:
            _raise_if_over(status, current_time() - began_s, hooks_s, "its hooks did not end")
        else:
            _raise_if_over(status, current_time() - began_s, CONNECT_LIMIT_S, "it did not take its lease")
        await sleep(pause_s)
        pause_s = min(2 * pause_s, _INTERVAL_S)


def _raise_if_over(status: LeaseStatus, spent_s: float, limit_s: float, silence: str) -> None:
    if status.ended_reason:
        raise ExporterGoneError(status.ended_reason)
    if spent_s >= limit_s:
        raise ExporterSilentError(f"{silence} within {limit_s:.0f} s, though the lease lasts")


@asynccontextmanager
async def connect_while_leased(
    connecting: Any,  # noqa: ANN401 - Jumpstarter's
    lease: ExporterLease,
) -> AsyncIterator[Any]:
    """Enter Jumpstarter's client, but give up when the lease has ended or the exporter stays silent.

    Args:
        connecting: The context manager of Jumpstarter's client, which would try on for ever.
        lease: The lease.

    Raises:
        ExporterGoneError: The attempt was given up.
    """
    connected = False
    given_up: list[ExporterGoneError] = []

    async def watch() -> None:
        began_s = current_time()
        while not connected and not given_up:
            await sleep(_INTERVAL_S)
            status = LeaseStatus()
            with suppress(HilError):  # a controller that does not answer says nothing of the exporter
                status = await lease.status()
            try:
                _raise_if_over(status, current_time() - began_s, CONNECT_LIMIT_S, "it did not answer")
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
        raise given_up[0] from error  # Jumpstarter and gRPC turn their cancellation into errors of any kind
    if not connected:
        raise given_up[0]
