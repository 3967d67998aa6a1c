"""One lease of an exporter from a controller: asked for, waited for, renewed while it is used, given back.

It is short, so that what a killed run and its guard leave behind ends soon. All of it runs in a portal's
loop; the controller is asked four times a second while a lease is awaited, more rarely the longer that takes.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["LEASE_S", "MOMENT_S", "ExporterLease", "LeaseStatus", "end_stale_leases"]

LEASE_S = 120.0
"""Seconds that a lease lasts beyond its last renewal."""

MOMENT_S = 2.0
"""Seconds within which a controller gives an exporter that is free."""

_HOOKS = {ExporterStatus.BEFORE_LEASE_HOOK, ExporterStatus.AFTER_LEASE_HOOK}
_FAILED = {ExporterStatus.BEFORE_LEASE_HOOK_FAILED, ExporterStatus.AFTER_LEASE_HOOK_FAILED}
_READY = {None, ExporterStatus.UNSPECIFIED, ExporterStatus.LEASE_READY}
_CALL_LIMIT_S = 10.0
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 4.0
_NEWS_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """What a controller says of a leased exporter.

    Attributes:
        ended_reason: Why it cannot be used any more; empty: as far as is known it can.
        status: What it says that it does; None: it is too old to say so.
    """

    ended_reason: str = ""
    status: ExporterStatus | None = None

    @property
    def in_hooks(self) -> bool:
        """Whether its hooks run, which nobody can get past."""
        return self.status in _HOOKS

    @property
    def is_ready(self) -> bool:
        """Whether it lets its run in."""
        return not self.ended_reason and self.status in _READY


@dataclass(slots=True)
class ExporterLease:
    """A lease, from its request to its end.

    Attributes:
        config: Of the Jumpstarter client.
        channel: To the controller.
        name: The lease's.
        exporter: The exporter's, once there is one.
        lease_s: Seconds that it lasts beyond a renewal.
    """

    config: Any
    channel: Any
    name: str
    exporter: str = ""
    lease_s: float = LEASE_S

    @property
    def service(self) -> Any:  # noqa: ANN401 - Jumpstarter's
        """Its client service."""
        return ClientService(channel=self.channel, namespace=self.config.metadata.namespace)

    async def request(self, selector: str) -> None:
        """Ask for an exporter.

        Raises:
            BoardAbsentError, BoardDeniedError: The controller cannot be reached, or does not know us.
        """
        await self._call(
            "CreateLease",
            selector=selector,
            duration=dt.timedelta(seconds=self.lease_s),
            lease_id=self.name,
        )

    async def wait_for_exporter(
        self,
        selector: str,
        wait_s: float,
        tell: Callable[[str], None],
        is_enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wait until the controller gives an exporter.

        Args:
            selector: What was asked for.
            wait_s: How long others may keep all of them, in seconds.
            tell: Shows the user what is waited for.
            is_enough: Whether this one would only be one more, so that no other's end is waited for.

        Raises:
            BoardBusyError: None was given in time.
            BoardAbsentError: None has these labels, or none may be leased by this client.
        """
        began, pause_s, told, told_s = current_time(), _FIRST_PAUSE_S, "", -_NEWS_EVERY_S
        while True:
            lease = await self._call("GetLease", name=self.name)
            if condition_true(lease.conditions, "Ready"):
                self.exporter = lease.exporter
                return
            for kind in ("Unsatisfiable", "Invalid"):
                if condition_true(lease.conditions, kind):
                    raise _no_match(selector, condition_message(lease.conditions, kind))
            spent_s = current_time() - began
            news = condition_message(lease.conditions, "Pending") or "the controller looks for one"
            limit_s = MOMENT_S if is_enough() else max(wait_s, MOMENT_S)
            if spent_s >= limit_s:
                raise _busy(selector, news, wait_s)
            if wait_s and (news != told or spent_s - told_s >= _NEWS_EVERY_S):
                told, told_s = news, spent_s
                spent = f"{spent_s:.0f} of {wait_s:.0f} s"
                tell(f"hil: waiting for an exporter with {selector}: {news} ({spent})")
            await sleep(min(pause_s, limit_s - spent_s))
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)

    async def keep_renewed(self, on_end: Callable[[str], None]) -> None:
        """Renew the lease again and again; `over` is told when it has ended all the same.

        To be called when the lease has begun: its length counts from there, and neither this machine's clock
        nor the controller's says how long that is ago, because either may be wrong or be set meanwhile.
        """
        began = current_time()
        while True:
            await sleep(self.lease_s / 3)
            why = await self.ended_reason()
            if why:
                on_end(why)
                return
            with suppress(HilError):  # the next round tries again; a lease that ends meanwhile says so
                await self._renew(current_time() - began)

    async def ended_reason(self) -> str:
        """Why the exporter cannot be used any more; empty: as far as the controller knows it can.

        Raises:
            HilError: The controller does not answer.
        """
        return (await self.status()).ended_reason

    async def status(self) -> LeaseStatus:
        """Ask the controller what became of the exporter; raises what `ended` raises."""
        lease = await self._call("GetLease", name=self.name)
        if lease.effective_end_time or not condition_true(lease.conditions, "Ready"):
            return LeaseStatus(f"the lease {self.name} has ended")
        exporter = await self._call("GetExporter", name=lease.exporter)
        if not _is_online(exporter):
            return LeaseStatus(f"exporter {lease.exporter} is offline")
        if exporter.status in _FAILED:
            return LeaseStatus(f"a hook of exporter {lease.exporter} has failed")
        return LeaseStatus(status=exporter.status)

    async def load_exporter(self) -> None:
        """Learn which exporter a lease has that another process keeps."""
        self.exporter = (await self._call("GetLease", name=self.name)).exporter

    async def list_exporters(self, selector: str) -> set[str]:
        """Names of the exporters with these labels that are there, leased or not."""
        found = await self._call("ListExporters", filter=selector)
        return {exporter.name for exporter in found.exporters if _is_online(exporter)}

    async def exporters_leased_by(self, pids: Collection[int]) -> set[str]:
        """Names of the exporters that processes of this machine have leased as this client."""
        found = await self._call("ListLeases", only_active=True)
        names = {lease.exporter: LeaseName.parse(lease.name) for lease in found.leases if lease.exporter}
        return {exporter for exporter, holder in names.items() if holder is not None and holder.is_of(pids)}

    async def end(self) -> None:
        """Give the exporter back; harmless when the lease has ended already."""
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


async def end_stale_leases(lease: ExporterLease) -> int:
    """End this client's leases of processes of this machine that are gone; returns how many."""
    found = await lease._call("ListLeases", only_active=True)  # noqa: SLF001 - of this module
    names = {lease.name: LeaseName.parse(lease.name) for lease in found.leases}
    stale = [name for name, holder in names.items() if holder is not None and holder.is_stale]
    for name in stale:
        await ExporterLease(lease.config, lease.channel, name).end()
    return len(stale)


def _is_online(exporter: Any) -> bool:  # noqa: ANN401 - Jumpstarter's
    """Whether it can be reached, by its status where it tells one."""
    if exporter.status is None:
        return bool(exporter.online)
    return exporter.status is not ExporterStatus.OFFLINE


def _no_match(selector: str, why: str) -> BoardAbsentError:
    return BoardAbsentError(
        f"no exporter has the labels {selector}",
        why=why,
        remedy="jmp get exporters shows which there are, and their labels",
    )


def _busy(selector: str, why: str, wait_s: float) -> BoardBusyError:
    return BoardBusyError(
        f"every exporter with {selector} is in use",
        why=f"{why}; waited {wait_s:g} s" if wait_s else why,
        remedy="wait longer (--hil-wait SECONDS); jmp get leases shows who has them",
    )
