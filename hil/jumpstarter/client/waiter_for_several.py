"""Wait in a lab's line for several boards at once: hold no exporter before, then lease all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.timing import Deadline, sleep
from hil.errors import BoardAbsentError, BoardBusyError
from hil.jumpstarter.client.lab_line import (
    LOOK_S,
    MARK_S,
    marks_ahead,
    marks_now,
    put_off_mark,
    set_mark,
)
from hil.jumpstarter.client.lease_guard import guard_lease
from hil.jumpstarter.client.lease_name import LeaseName
from hil.jumpstarter.client.leased import LeaseConnection, OwnLeaseConnection
from hil.jumpstarter.client.search import Search
from hil.jumpstarter.client.wait_lines import WaitLines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.boards.requirements import BoardRequirement
    from hil.jumpstarter.client.target import SelectorTarget
    from hil.lab.config.lab import Lab

__all__ = ["WaiterForSeveral"]


class WaiterForSeveral(LeaseConnection):
    """A test that waits in the line of a lab for several boards, until it is closed.

    Args:
        target: The labels of suitable exporters.
        needs: What each board of the test must be.
        wait_s: How long the test waits in all, in seconds.
        tell: Shows the user a line.
        lab: This machine's lab file, which may add names and tags of boards.

    Raises:
        BoardAbsentError: The controller cannot be reached.
        UsageError: The client's configuration cannot be used.
    """

    def __init__(
        self,
        target: SelectorTarget,
        needs: Sequence[BoardRequirement],
        wait_s: float,
        tell: Callable[[str], None],
        *,
        lab: Lab,
    ) -> None:
        super().__init__("the controller", target.client, LeaseName.of_this_process().fresh())
        self._target = target
        self._needs = needs
        self._tell = tell
        self._lab = lab
        self._leased: list[OwnLeaseConnection] = []
        self._what = f"{len(needs)} exporters with {target.selector} at once"
        self._lines = WaitLines(tell, self._what, wait_s)
        self._ahead: set[str] | None = None
        self._marked: Deadline | None = None

    def lease_all(self, left_s: float) -> None:
        """Wait until this test is first in line and enough exporters are free; then lease those that suit.

        Args:
            left_s: How long to wait, in seconds.

        Raises:
            BoardAbsentError: The lab has too few exporters that suit.
            BoardBusyError: The time is over, or an exporter was leased by another run at the same time.
            BoardDeniedError: The controller rejects the client's token.
        """
        limit = Deadline(left_s)
        if self._ahead is not None:
            self._stand_in_line()  # an attempt has failed: the next runs must not get in between again
        while news := self.portal.call(self._why_not_yet):
            if limit.passed:
                raise BoardBusyError(
                    f"{self._what} were not free",
                    why=news,
                    remedy="wait longer (--hil-wait SECONDS); jmp get leases shows who has them",
                )
            self._stand_in_line()
            self._lines.show(news)
            sleep(min(LOOK_S, limit.left_s))
        self.give_back()
        search = Search(self._target, self._lab, limit.left_s, self._tell)
        try:
            chosen = search.find_several(self._needs)
        except BaseException:
            search.close()
            raise
        search.keep(chosen)
        self._leased = [found.connection for found in chosen]

    def take(self) -> OwnLeaseConnection:
        """Return the next leased exporter, in the order of the needs; the caller closes the connection."""
        return self._leased.pop(0)

    def give_back(self) -> None:
        """End the leases of the exporters that were not taken."""
        while self._leased:
            self._leased.pop().close()

    async def _why_not_yet(self) -> str:
        """Return why the test has to wait; empty if it may request its exporters."""
        selector = self._target.selector
        if self._ahead is None:
            self._ahead = await marks_ahead(self.lease, selector)
        elif self._ahead:
            self._ahead &= await marks_now(self.lease)
        if self._ahead:
            return "another test that uses several boards goes first"
        free = await self.lease.list_free_exporters(selector)
        if len(free) >= len(self._needs):
            return ""
        every = await self.lease.list_exporters(selector, offline=True)
        if len(every) < len(self._needs):
            raise BoardAbsentError(
                f"there are no {self._what}",
                why=f"the lab has {', '.join(sorted(every))}" if every else "no exporter has these labels",
                remedy="jmp get exporters shows all exporters and their labels",
            )
        return f"free now: {', '.join(sorted(free)) or 'none'}"

    def _stand_in_line(self) -> None:
        """Set the mark, or put it off; a guard removes it if this process is killed."""
        if self._marked is None:
            config = self.lease.config
            self.on_close(guard_lease(self._target.client, type(config).dump_yaml(config), self.lease.name))
            self.on_close(lambda: self.portal.call(self.lease.end))
            self.portal.call(set_mark, self.lease, self._target.selector)
        elif self._marked.passed:
            self.portal.call(put_off_mark, self.lease)
        else:
            return
        self._marked = Deadline(MARK_S / 4)
