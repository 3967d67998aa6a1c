"""Connections to exporters that a controller has leased to a process of this run."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING, Any

from anyio import create_task_group, current_time, sleep
from jumpstarter.client.lease import Lease

from hil.dutlink.timing import Deadline
from hil.errors import BoardAbsentError, HilError
from hil.jumpstarter.client.client_config import load_client_config
from hil.jumpstarter.client.connection import ExporterConnection
from hil.jumpstarter.client.direct import CONNECT_LIMIT_S, unreachable_error
from hil.jumpstarter.client.lab_line import give_way
from hil.jumpstarter.client.lease import LEASE_S, ExporterLease, LeaseStatus, end_stale_leases, open_channel
from hil.jumpstarter.client.lease_guard import guard_lease
from hil.jumpstarter.client.lease_name import LeaseName
from hil.jumpstarter.protocol.board_description import ALLOWED_CLIENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import ExitStack

    from anyio.from_thread import BlockingPortal

    from hil.jumpstarter.client.target import LeaseTarget, SelectorTarget

__all__ = [
    "ExporterGoneError",
    "ExporterSilentError",
    "LeaseConnection",
    "OwnLeaseConnection",
    "SharedLeaseConnection",
    "connect_while_leased",
    "wait_until_ready",
]

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

    The exporter's hooks may take long, but the exporter may also have died, or its host may have gone dark,
    which closes no connection. The controller learns of it sooner or later, so it is asked at the same time.

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


_MIN_HOOKS_LIMIT_S = 20.0
"""Seconds that an exporter's hooks may take at least, however short the run waits for boards in use."""


class LeaseConnection(ExporterConnection):
    """A connection that has a channel to the controller and a lease, and may connect to the leased exporter.

    Args:
        label: Name of the exporter in messages, until the controller has assigned one.
        client: Alias or file of the client's configuration.
        name: Name of the lease.
        lease_s: Seconds that the lease lasts after a renewal.

    Attributes:
        lease: The lease.

    Raises:
        BoardAbsentError: The controller cannot be reached.
        UsageError: The client's configuration cannot be used.
    """

    def __init__(self, label: str, client: str, name: str, lease_s: float = LEASE_S) -> None:
        config = load_client_config(client)
        super().__init__(label)
        with self.close_on_error():
            channel = open_channel(self.portal, config)
            self.on_close(lambda: self.portal.call(channel.close))
            self.lease = ExporterLease(config, channel, name, lease_s=lease_s)

    def _use_assigned_exporter(self) -> None:
        self.exporter = self.lease.exporter
        self.label = f"exporter {self.exporter}"
        self.set_lost_check(self.lease.ended_reason)

    def _connect(self, wait_s: float) -> None:
        """Connect to the exporter once its hooks have ended; give up if the lease ends."""
        config = self.lease.config

        def make(portal: BlockingPortal, stack: ExitStack) -> Any:  # noqa: ANN401 - Jumpstarter's
            lease = Lease(
                channel=self.lease.channel,
                name=self.lease.name,
                release=False,
                selector=None,
                duration=dt.timedelta(seconds=self.lease.lease_s),
                portal=portal,
                namespace=config.metadata.namespace,
                allow=ALLOWED_CLIENTS,
                unsafe=False,
                tls_config=config.tls,
                grpc_options=config.grpcOptions,
                dial_timeout=CONNECT_LIMIT_S,
            )
            return connect_while_leased(lease.connect_async(stack), self.lease)

        try:
            self.portal.call(wait_until_ready, self.lease, max(wait_s, _MIN_HOOKS_LIMIT_S))
            self.connect(make)
        except HilError:
            raise
        except ExporterSilentError as error:
            raise self._silent_error(str(error)) from error
        except ExporterGoneError as error:
            raise self.lost_error(str(error)) from error
        except Exception as error:
            why = self.ask_why_lost()
            raise (self.lost_error(why) if why else unreachable_error(self.label, error)) from error

    def _silent_error(self, why: str) -> HilError:
        """Return the error for an exporter that does not answer, but was online when it was leased."""
        return self.lost_error(why)


class OwnLeaseConnection(LeaseConnection):
    """A connection that requests a lease of its own, keeps it renewed, and ends it when closed.

    Args:
        target: The labels of suitable exporters.
        wait_s: How long to wait while all of them are in use, and for the exporter's hooks, in seconds.
        tell: Shows the user a line.
        lease_s: Seconds that the lease lasts after a renewal.
        given: Set when an exporter is assigned. Connections that share it wait only for the first exporter.
        exporter: The only suitable exporter; empty: any with the labels.

    Raises:
        BoardBusyError, BoardAbsentError, BoardDeniedError, BoardLostError: There is no exporter for this run.
        UsageError: The client's configuration cannot be used.
    """

    def __init__(  # noqa: PLR0913 - each is an independent wish
        self,
        target: SelectorTarget,
        wait_s: float,
        tell: Callable[[str], None],
        *,
        lease_s: float = LEASE_S,
        given: Event | None = None,
        exporter: str = "",
    ) -> None:
        name, self._client = LeaseName.of_this_process().fresh(), target.client
        label = f"exporter {exporter}" if exporter else f"an exporter with {target.selector}"
        super().__init__(label, target.client, name, lease_s)
        deadline = Deadline(wait_s)
        with self.close_on_error():
            self._acquire(target.selector, exporter, wait_s, tell, given or Event())
            renewing = self.portal.start_task_soon(self.lease.keep_renewed, self.mark_lost)
            self.on_close(renewing.cancel)  # renewed already here: hooks may take longer than the lease lasts
            self._connect(deadline.left_s)

    def _acquire(
        self, selector: str, exporter: str, wait_s: float, tell: Callable[[str], None], given: Event
    ) -> None:
        stale = self.portal.call(end_stale_leases, self.lease)
        if stale:
            tell(
                f"hil: ended {stale} lease{'s' if stale > 1 else ''} of runs that were killed on this machine"
            )
        config = self.lease.config
        deadline = Deadline(wait_s)
        self.portal.call(give_way, self.lease, selector, wait_s, tell, given.is_set)
        self.on_close(guard_lease(self._client, type(config).dump_yaml(config), self.lease.name))
        self.on_close(lambda: self.portal.call(self.lease.end))
        self.portal.call(self.lease.request, selector, exporter)
        self.portal.call(self.lease.wait_for_exporter, selector, deadline.left_s, tell, given.is_set)
        given.set()
        self._use_assigned_exporter()

    def _silent_error(self, why: str) -> HilError:
        """Return the error for an exporter that does not answer: absent, so later tests skip at once."""
        return BoardAbsentError(
            f"{self.label} does not answer",
            why=why,
            remedy="see whether its host is up and its jmp run goes on; then run again",
        )


class SharedLeaseConnection(LeaseConnection):
    """A connection to an exporter that another process of this run has leased and keeps leased.

    Args:
        target: The lease.
        wait_s: How long the exporter's hooks may take, in seconds.

    Raises:
        BoardLostError: The lease has ended, or its exporter is gone.
        BoardAbsentError: Controller or exporter cannot be reached.
        BoardDeniedError: The controller rejects the client's token.
        UsageError: The client's configuration cannot be used.
    """

    def __init__(self, target: LeaseTarget, wait_s: float) -> None:
        super().__init__(f"the exporter of lease {target.lease}", target.client, target.lease)
        with self.close_on_error():
            self.portal.call(self.lease.load_exporter)
            self._use_assigned_exporter()
            why = self.portal.call(self.lease.ended_reason)
            if why:
                raise self.lost_error(why)
            self._connect(wait_s)
