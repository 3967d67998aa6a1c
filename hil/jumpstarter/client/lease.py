"""A lease of an exporter from a controller: request it, wait for it, renew it, end it.

A lease is short, so that it expires soon if a run and its guard are killed together. All methods run in a
portal's loop. While a run waits for a lease, it asks the controller four times a second at first, then less
often.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, current_time, fail_after, sleep
from jumpstarter.client.grpc import ClientService
from jumpstarter.common import ExporterStatus
from jumpstarter.common.condition import condition_message, condition_true

from hil.errors import BoardAbsentError, BoardBusyError, HilError
from hil.jumpstarter.client.direct import unreachable_error
from hil.jumpstarter.client.lease_name import LeaseName
from hil.jumpstarter.client.wait_lines import WaitLines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from anyio.from_thread import BlockingPortal

__all__ = ["LEASE_S", "MOMENT_S", "ExporterLease", "LeaseStatus", "end_stale_leases", "open_channel"]

LEASE_S = 120.0
"""Seconds that a lease lasts after its last renewal."""

MOMENT_S = 2.0
"""Seconds that a controller may take to assign a free exporter."""

_HOOKS = {ExporterStatus.BEFORE_LEASE_HOOK, ExporterStatus.AFTER_LEASE_HOOK}
_FAILED = {ExporterStatus.BEFORE_LEASE_HOOK_FAILED, ExporterStatus.AFTER_LEASE_HOOK_FAILED}
_READY = {None, ExporterStatus.UNSPECIFIED, ExporterStatus.LEASE_READY}
_FREE = {None, ExporterStatus.UNSPECIFIED, ExporterStatus.AVAILABLE}
_CALL_LIMIT_S = 10.0
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 4.0


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """What a controller knows of a lease and its exporter.

    Attributes:
        ended_reason: Why the exporter can no longer be used; empty: it can, as far as the controller knows.
        exporter_status: What the exporter reports; None: its version reports nothing.
    """

    ended_reason: str = ""
    exporter_status: ExporterStatus | None = None

    @property
    def in_hooks(self) -> bool:
        """Whether the exporter's hooks are running, which keep all clients out."""
        return self.exporter_status in _HOOKS

    @property
    def is_ready(self) -> bool:
        """Whether the exporter accepts its run."""
        return not self.ended_reason and self.exporter_status in _READY


@dataclass(slots=True)
class ExporterLease:
    """A lease, from its request to its end.

    Attributes:
        config: Configuration of the Jumpstarter client.
        channel: Channel to the controller.
        name: Name of the lease.
        exporter: Name of the leased exporter; empty: none is assigned yet.
        lease_s: Seconds that the lease lasts after a renewal.
    """

    config: Any
    channel: Any
    name: str
    exporter: str = ""
    lease_s: float = LEASE_S

    @property
    def service(self) -> Any:  # noqa: ANN401 - Jumpstarter's
        """The controller's service for clients."""
        return ClientService(channel=self.channel, namespace=self.config.metadata.namespace)

    async def request(self, selector: str, exporter: str = "", begin: dt.datetime | None = None) -> None:
        """Request a lease of an exporter with these labels, or of the one with this name.

        Args:
            selector: The labels.
            exporter: The only exporter that will do; empty: any with the labels.
            begin: When the lease shall begin; None: as soon as possible.

        Raises:
            BoardAbsentError: The controller cannot be reached.
            BoardDeniedError: The controller rejects the client's token.
        """
        await self._call(
            "CreateLease",
            selector=selector,
            exporter_name=exporter or None,
            duration=dt.timedelta(seconds=self.lease_s),
            lease_id=self.name,
            begin_time=begin,
        )

    async def postpone(self, begin: dt.datetime) -> None:
        """Let the lease, which has not begun, begin at another time."""
        await self._call("UpdateLease", name=self.name, begin_time=begin)

    async def wait_for_exporter(
        self,
        selector: str,
        wait_s: float,
        tell: Callable[[str], None],
        is_enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wait until the controller assigns an exporter.

        Args:
            selector: The requested labels.
            wait_s: How long to wait while all such exporters are in use, in seconds.
            tell: Shows the user a line.
            is_enough: Returns True if the run has an exporter already; then only a free one is waited for.

        Raises:
            BoardBusyError: No exporter was assigned in time.
            BoardAbsentError: No exporter has these labels, or this client may lease none of them.
        """
        began, pause_s = current_time(), _FIRST_PAUSE_S
        lines = WaitLines(tell, f"an exporter with {selector}", wait_s)
        while True:
            lease = await self._call("GetLease", name=self.name)
            if condition_true(lease.conditions, "Ready"):
                self.exporter = lease.exporter
                return
            for kind in ("Unsatisfiable", "Invalid"):
                if condition_true(lease.conditions, kind):
                    raise _no_match(selector, condition_message(lease.conditions, kind))
            spent_s = current_time() - began
            news = condition_message(lease.conditions, "Pending") or "the controller is searching"
            limit_s = MOMENT_S if is_enough() else max(wait_s, MOMENT_S)
            if spent_s >= limit_s:
                raise _busy(selector, news, wait_s)
            lines.show(news)
            await sleep(min(pause_s, limit_s - spent_s))
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)

    async def keep_renewed(self, on_end: Callable[[str], None]) -> None:
        """Renew the lease until it ends; then call `on_end` with the reason.

        Call this when the lease begins. The length of a lease counts from its beginning, and this method
        measures the time since then itself: the clocks of this machine and of the controller may differ or be
        set.
        """
        began = current_time()
        while True:
            await sleep(self.lease_s / 3)
            why = await self.ended_reason()
            if why:
                on_end(why)
                return
            with suppress(HilError):  # the next round tries again, or notices that the lease has ended
                await self._renew(current_time() - began)

    async def ended_reason(self) -> str:
        """Return why the exporter can no longer be used, or an empty string.

        Raises:
            HilError: The controller does not answer.
        """
        return (await self.status()).ended_reason

    async def status(self) -> LeaseStatus:
        """Ask the controller for the status of lease and exporter.

        Raises:
            HilError: The controller does not answer.
        """
        lease = await self._call("GetLease", name=self.name)
        if lease.effective_end_time or not condition_true(lease.conditions, "Ready"):
            return LeaseStatus(f"the lease {self.name} has ended")
        exporter = await self._call("GetExporter", name=lease.exporter)
        if not _is_online(exporter):
            return LeaseStatus(f"exporter {lease.exporter} is offline")
        if exporter.status in _FAILED:
            return LeaseStatus(f"a hook of exporter {lease.exporter} has failed")
        return LeaseStatus(exporter_status=exporter.status)

    async def load_exporter(self) -> None:
        """Ask which exporter is assigned to this lease, which another process keeps."""
        self.exporter = (await self._call("GetLease", name=self.name)).exporter

    async def list_exporters(self, selector: str, *, offline: bool = False) -> set[str]:
        """Return the names of the exporters with these labels, leased or not.

        Args:
            selector: The labels.
            offline: Include exporters that are not online.
        """
        found = await self._call("ListExporters", filter=selector)
        return {exporter.name for exporter in found.exporters if offline or _is_online(exporter)}

    async def list_free_exporters(self, selector: str) -> set[str]:
        """Return the names of the exporters with these labels that the controller would assign now."""
        found = await self._call("ListExporters", filter=selector)
        leased = {lease.exporter for lease in await self.list_active()}
        free = (one for one in found.exporters if _is_online(one) and one.status in _FREE)
        return {one.name for one in free} - leased

    async def list_active(self) -> list[Any]:
        """Return the leases of all clients that have not ended, also those that have not begun."""
        return list((await self._call("ListLeases", only_active=True)).leases)

    async def exporters_leased_by(self, pids: Collection[int]) -> set[str]:
        """Return the names of the exporters that these processes of this machine have leased."""
        leases = await self.list_active()
        names = {lease.exporter: LeaseName.parse(lease.name) for lease in leases if lease.exporter}
        return {exporter for exporter, holder in names.items() if holder is not None and holder.is_of(pids)}

    async def end(self) -> None:
        """End the lease; harmless if it has ended already."""
        with CancelScope(shield=True), suppress(HilError):
            await self._call("DeleteLease", name=self.name)

    async def _renew(self, lasted_s: float) -> None:
        duration = dt.timedelta(seconds=lasted_s + self.lease_s)
        await self._call("UpdateLease", name=self.name, duration=duration)

    async def _call(self, method: str, **arguments: Any) -> Any:  # noqa: ANN401 - Jumpstarter's
        """Call the controller, within a limit."""
        try:
            with fail_after(_CALL_LIMIT_S):
                return await getattr(self.service, method)(**arguments)
        except Exception as error:
            raise unreachable_error(f"controller {self.config.endpoint}", error) from error


async def end_stale_leases(own: ExporterLease) -> int:
    """End this client's leases of processes of this machine that have ended; return how many.

    Args:
        own: Any lease of this client, for its configuration and channel.
    """
    names = {lease.name: LeaseName.parse(lease.name) for lease in await own.list_active()}
    stale = [name for name, holder in names.items() if holder is not None and holder.is_stale]
    for name in stale:
        await ExporterLease(own.config, own.channel, name).end()
    return len(stale)


def _is_online(exporter: Any) -> bool:  # noqa: ANN401 - Jumpstarter's
    """Return whether the exporter is online, by its status if it reports one."""
    if exporter.status is None:
        return bool(exporter.online)
    return exporter.status is not ExporterStatus.OFFLINE


def _no_match(selector: str, why: str) -> BoardAbsentError:
    return BoardAbsentError(
        f"no exporter has the labels {selector}",
        why=why,
        remedy="jmp get exporters shows all exporters and their labels",
    )


def _busy(selector: str, why: str, wait_s: float) -> BoardBusyError:
    return BoardBusyError(
        f"every exporter with {selector} is in use",
        why=f"{why}; waited {wait_s:g} s" if wait_s else why,
        remedy="wait longer (--hil-wait SECONDS); jmp get leases shows who has them",
    )


def open_channel(portal: BlockingPortal, config: Any) -> Any:  # noqa: ANN401 - Jumpstarter's
    """Open a channel to the controller.

    Raises:
        BoardAbsentError: The controller cannot be reached.
    """
    try:
        return portal.call(config.channel)
    except Exception as error:
        raise unreachable_error(f"controller {config.endpoint}", error) from error
