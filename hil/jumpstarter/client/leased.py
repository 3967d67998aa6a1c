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
from hil.jumpstarter.client.connection import ALLOWED_CLIENTS, ExporterConnection
from hil.jumpstarter.client.direct import CONNECT_LIMIT_S, unreachable_error
from hil.jumpstarter.client.lease import LEASE_S, ExporterLease, end_stale_leases
from hil.jumpstarter.client.lease_guard import guard_lease
from hil.jumpstarter.client.lease_name import LeaseName

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from anyio.from_thread import BlockingPortal

    from hil.jumpstarter.client.target import LeaseTarget, SelectorTarget

__all__ = ["OwnLeaseConnection", "SharedLeaseConnection", "open_channel"]

_HOOKS_LIMIT_S = 20.0
"""Seconds that an exporter's hooks get, however short the run's patience."""


class LeaseConnection(ExporterConnection):
    """A connection whose far end is ours as long as a lease lasts.

    Args:
        label: What reports call the other end, until its name is known.
        client: Alias or file of the client's configuration.
        name: The lease's.
        lease_s: Seconds that the lease lasts beyond a renewal.

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

    def _name(self) -> None:
        self.label = f"exporter {self.lease.exporter}"
        self.set_lost_check(self.lease.ended_reason)

    def _reach(self, wait_s: float) -> None:
        """Connect to the exporter; its hooks may take a while, but it may also have died just now."""
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
            self.portal.call(wait_until_ready, self.lease, max(wait_s, _HOOKS_LIMIT_S))
            self.connect(make)
        except HilError:
            raise
        except ExporterSilentError as error:
            raise self._silent(str(error)) from error
        except ExporterGoneError as error:
            raise self.lost_error(str(error)) from error
        except Exception as error:
            why = self.ask_why_lost()
            raise (self.lost_error(why) if why else unreachable_error(self.label, error)) from error

    def _silent(self, why: str) -> HilError:
        """Say that an exporter did not answer that was there when it was given to this run."""
        return self.lost_error(why)


class OwnLeaseConnection(LeaseConnection):
    """A connection to an exporter that is leased for it, and given back with it.

    Args:
        target: What exporter is wanted.
        wait_s: How long others may keep all of them, and hooks may take, in seconds.
        tell: Shows the user a line.
        lease_s: Seconds that the lease lasts beyond a renewal.
        given: Set when an exporter was given; where roads share it, only the first of them is worth a wait.

    Raises:
        BoardBusyError, BoardAbsentError, BoardDeniedError, BoardLostError: There is none for this run.
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
        patience = Deadline(wait_s)
        with self.close_on_error():
            self._lease(target.selector, wait_s, tell, given or Event())
            keeper = self.portal.start_task_soon(self.lease.keep_renewed, self.mark_lost)
            self.on_close(keeper.cancel)  # from now on: the exporter's hooks may take longer than the lease
            self._reach(patience.left_s)

    def _lease(self, selector: str, wait_s: float, tell: Callable[[str], None], given: Event) -> None:
        stale = self.portal.call(end_stale_leases, self.lease)
        if stale:
            tell(f"hil: {stale} lease{'s' if stale > 1 else ''} of runs that were killed here: ended now")
        config = self.lease.config
        self.on_close(guard_lease(self._client, type(config).dump_yaml(config), self.lease.name))
        self.on_close(lambda: self.portal.call(self.lease.end))
        self.portal.call(self.lease.request, selector)
        self.portal.call(self.lease.wait_for_exporter, selector, wait_s, tell, given.is_set)
        given.set()
        self._name()

    def _silent(self, why: str) -> HilError:
        """Say that an exporter did not answer; later tests need not wait for it again."""
        return BoardAbsentError(
            f"{self.label} does not answer",
            why=why,
            remedy="see whether its host is up and its jmp run goes on; then run again",
        )


class SharedLeaseConnection(LeaseConnection):
    """A connection to an exporter that another process of this run has leased, and goes on to keep.

    Args:
        target: The lease.
        wait_s: How long the exporter's hooks may take, in seconds.

    Raises:
        BoardLostError: The lease has ended, or its exporter is gone.
        BoardAbsentError, BoardDeniedError, UsageError: As asking the controller can fail.
    """

    def __init__(self, target: LeaseTarget, wait_s: float) -> None:
        super().__init__(f"the exporter of lease {target.lease}", target.client, target.lease)
        with self.close_on_error():
            self.portal.call(self.lease.load_exporter)
            self._name()
            why = self.portal.call(self.lease.ended_reason)
            if why:
                raise self.lost_error(why)
            self._reach(wait_s)


def open_channel(portal: BlockingPortal, config: Any) -> Any:  # noqa: ANN401 - Jumpstarter's
    """Open a channel to the controller.

    Raises:
        BoardAbsentError: It cannot be reached.
    """
    try:
        return portal.call(config.channel)
    except Exception as error:
        raise unreachable_error(f"controller {config.endpoint}", error) from error
