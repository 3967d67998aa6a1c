"""The line of a lab: runs let a test that waits for several boards go first.

The controller has no line. It assigns exporters one by one, each to the waiting request that it looks at
first. So a request for a second exporter would hold the first, and a test that waits until two are free at
the same time would wait for ever among runs that want one. Such a test sets a mark, which all runs of hil
see in the list of leases: a lease scheduled for later, and put off as long as the test waits. A mark holds
nothing, and ends by itself if its run dies. Other clients of the lab do not look for marks.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any, Final

from anyio import sleep

from hil.dutlink.timing import Deadline
from hil.jumpstarter.client.lease_name import LeaseName
from hil.jumpstarter.client.wait_lines import WaitLines

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.jumpstarter.client.lease import ExporterLease

__all__ = ["LOOK_S", "MARK_S", "give_way", "marks_ahead", "marks_now", "put_off_mark", "set_mark"]

MARK_S: Final = 300.0
"""Seconds until a mark ends that nothing puts off; more than the clocks of client and controller differ."""

LOOK_S: Final = 2.0
"""Seconds between two looks at the line."""

_NO_EXPORTER: Final = "several-at-once"
"""The exporter that a mark asks for. There is none of this name, so a mark that begins ends at once."""


async def set_mark(lease: ExporterLease, selector: str) -> None:
    """Make a lease a mark, before which later runs request none of these exporters."""
    await lease.request(selector, _NO_EXPORTER, begin=_soon())


async def put_off_mark(lease: ExporterLease) -> None:
    """Let a mark end later."""
    await lease.postpone(_soon())


async def marks_now(lease: ExporterLease) -> set[str]:
    """Return the names of the marks of all runs."""
    return {one.name for one in await lease.list_active() if _is_mark(one)}


async def marks_ahead(lease: ExporterLease, selector: str) -> set[str]:
    """Return the names of the marks that a new request for an exporter with these labels lets go first.

    A run that holds an exporter lets none go first, because that test may wait for this exporter. Nor does a
    run that has a mark: it has waited for those ahead.
    """
    leases = await lease.list_active()
    marks = [one for one in leases if _is_mark(one)]
    if not marks or any(_is_own(one.name) and (one.exporter or _is_mark(one)) for one in leases):
        return set()
    wanted = await lease.list_exporters(selector, offline=True)
    return {mark.name for mark in marks if wanted & await lease.list_exporters(mark.selector, offline=True)}


async def give_way(
    lease: ExporterLease,
    selector: str,
    wait_s: float,
    tell: Callable[[str], None],
    is_enough: Callable[[], bool],
) -> None:
    """Wait until the tests that were there first have their boards.

    Args:
        lease: The lease to be requested.
        selector: The labels.
        wait_s: How long to wait at most, in seconds.
        tell: Shows the user a line.
        is_enough: Returns True if the run has an exporter already.
    """
    ahead = await marks_ahead(lease, selector)
    limit, lines = Deadline(wait_s), WaitLines(tell, f"an exporter with {selector}", wait_s)
    while ahead and not limit.passed and not is_enough():
        lines.show("a test that uses several boards goes first")
        await sleep(min(LOOK_S, limit.left_s))
        ahead &= await marks_now(lease)


def _is_mark(lease: Any) -> bool:  # noqa: ANN401 - Jumpstarter's
    return bool(lease.exporter_name == _NO_EXPORTER)


def _is_own(name: str) -> bool:
    """Return whether a process of this run requested a lease: this one, or its controller."""
    parsed = LeaseName.parse(name)
    return parsed is not None and parsed.is_of((os.getpid(), os.getppid()))


def _soon() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=MARK_S)
