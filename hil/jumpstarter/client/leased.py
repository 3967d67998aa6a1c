"""Connections to exporters that a controller has leased to a process of this run."""

from __future__ import annotations

import datetime as dt
from threading import Event
from typing import TYPE_CHECKING, Any

from jumpstarter.client.lease import Lease

from hil.dutlink.timing import Deadline
from hil.errors import BoardAbsentError, HilError
from hil.jumpstarter.client.client_config import load_client_config
from hil.jumpstarter.client.connect_retry import (
    ExporterGoneError,
    ExporterSilentError,
    connect_while_leased,
    wait_until_ready,
)
from hil.jumpstarter.client.connection import ExporterConnection
from hil.jumpstarter.client.direct import CONNECT_LIMIT_S, unreachable_error
from hil.jumpstarter.client.lease import LEASE_S, ExporterLease, end_stale_leases, open_channel
from hil.jumpstarter.client.lease_guard import guard_lease
from hil.jumpstarter.client.lease_name import LeaseName
from hil.jumpstarter.protocol.client_classes import ALLOWED_CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from anyio.from_thread import BlockingPortal

    from hil.jumpstarter.client.target import LeaseTarget, SelectorTarget

__all__ = ["LeaseConnection", "OwnLeaseConnection", "SharedLeaseConnection"]

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

    Raises:
        BoardBusyError, BoardAbsentError, BoardDeniedError, BoardLostError: There is no exporter for this run.
        UsageError: The client's configuration cannot be used.
    """

    def __init__(
        self,
        target: SelectorTarget,
        wait_s: float,
        tell: Callable[[str], None],
        *,
        lease_s: float = LEASE_S,
        given: Event | None = None,
    ) -> None:
        name, self._client = LeaseName.of_this_process().fresh(), target.client
        super().__init__(f"an exporter with {target.selector}", target.client, name, lease_s)
        deadline = Deadline(wait_s)
        with self.close_on_error():
            self._acquire(target.selector, wait_s, tell, given or Event())
            renewing = self.portal.start_task_soon(self.lease.keep_renewed, self.mark_lost)
            self.on_close(renewing.cancel)  # renewed already here: hooks may take longer than the lease lasts
            self._connect(deadline.left_s)

    def _acquire(self, selector: str, wait_s: float, tell: Callable[[str], None], given: Event) -> None:
        stale = self.portal.call(end_stale_leases, self.lease)
        if stale:
            tell(
                f"hil: ended {stale} lease{'s' if stale > 1 else ''} of runs that were killed on this machine"
            )
        config = self.lease.config
        self.on_close(guard_lease(self._client, type(config).dump_yaml(config), self.lease.name))
        self.on_close(lambda: self.portal.call(self.lease.end))
        self.portal.call(self.lease.request, selector)
        self.portal.call(self.lease.wait_for_exporter, selector, wait_s, tell, given.is_set)
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
