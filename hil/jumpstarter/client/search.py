"""Search the lab for a board that a test requires: lease exporters one by one until a board suits.

Only the exporter knows name and tags of its board. Exporters whose boards do not suit stay leased until the
search is over, so that the controller assigns others.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from hil.boards.requirements import BoardInfo, KnownWords
from hil.errors import BoardAbsentError, UnavailableError, UsageError
from hil.jumpstarter.client.leased import LeaseConnection, OwnLeaseConnection
from hil.lab.locks.choice import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hil.boards.requirements import BoardRequirement
    from hil.jumpstarter.client.target import SelectorTarget
    from hil.lab.config.lab import Lab

__all__ = ["FoundBoard", "Search", "board_info"]


@dataclass(frozen=True, slots=True)
class FoundBoard:
    """A leased exporter and the info of its board."""

    connection: OwnLeaseConnection
    info: BoardInfo


class Search:
    """A search for boards, with the exporters that it has leased so far.

    Args:
        target: The labels of suitable exporters.
        lab: This machine's lab file, which may add names and tags of boards.
        wait_s: How long to wait while suitable boards are in use, in seconds, for the whole search.
        tell: Shows the user a line.

    Attributes:
        found: The exporters that are leased now.
    """

    def __init__(self, target: SelectorTarget, lab: Lab, wait_s: float, tell: Callable[[str], None]) -> None:
        self.found: list[FoundBoard] = []
        self._target = target
        self._lab = lab
        self._tell = tell
        self._given = Event()
        self._ends_s = time.monotonic() + wait_s

    def lease(self, number: int) -> None:
        """Lease up to `number` free exporters; wait only for the first.

        Raises:
            UnavailableError: No exporter was leased.
        """
        failed: list[UnavailableError] = []
        with ThreadPoolExecutor(number) as threads:
            tells = [self._tell, *[_ignore] * (number - 1)]  # all would tell the user the same
            for lease in [threads.submit(self._lease, self._given, tell) for tell in tells]:
                try:
                    lease.result()
                except UnavailableError as error:
                    failed.append(error)
        if not self.found:
            raise failed[0]

    def find(self, requirement: BoardRequirement, *, waits: bool = True) -> FoundBoard:
        """Return an exporter whose board suits; lease further exporters until one does.

        Args:
            requirement: What the board must be.
            waits: Whether to wait for exporters that are in use.

        Raises:
            BoardBusyError: The exporters that were not seen stayed in use.
            BoardAbsentError: No board suits, or no exporter has the labels.
            UnavailableError: An exporter cannot be leased.
        """
        while True:
            suits = next((found for found in self.found if requirement.fits(found.info)), None)
            if suits is not None:
                return suits
            exporter = "" if requirement.is_any else self._next_exporter(requirement)
            self._lease(None if waits else self._given, self._tell, exporter)

    def find_several(self, needs: Sequence[BoardRequirement]) -> list[FoundBoard]:
        """Return an exporter for each requirement, all different; lease further exporters until there are.

        Waits for no exporter that is in use, as it would hold the others all the time.

        Raises:
            BoardBusyError: An exporter that was not seen is in use.
            BoardAbsentError: No further exporter can suit.
            UnavailableError: An exporter cannot be leased.
        """
        self._given.set()
        while True:
            by_name = {found.connection.lease.exporter: found for found in self.found}
            choices = [[name for name, one in by_name.items() if need.fits(one.info)] for need in needs]
            chosen = choose(choices, by_name)
            if chosen is not None:
                return [by_name[name] for name in chosen]
            unmet = next((need for need, names in zip(needs, choices, strict=True) if not names), needs[-1])
            self._lease(self._given, self._tell, self._next_exporter(unmet))

    def keep(self, chosen: Iterable[FoundBoard]) -> None:
        """End all leases but those of the chosen boards."""
        kept = list(chosen)
        for found in [found for found in self.found if found not in kept]:
            self.found.remove(found)
            found.connection.close()

    def close(self) -> None:
        """End all leases."""
        self.keep(())

    def _lease(self, given: Event | None, tell: Callable[[str], None], exporter: str = "") -> None:
        left_s = max(0.0, self._ends_s - time.monotonic())
        connection = OwnLeaseConnection(self._target, left_s, tell, given=given, exporter=exporter)
        with connection.close_on_error():
            info = board_info(connection.describe(), self._lab, connection.lease.exporter)
            self.found.append(FoundBoard(connection, info))

    def _next_exporter(self, requirement: BoardRequirement) -> str:
        """Return the only exporter that may suit; empty: any that this run has not leased yet.

        Raises:
            BoardAbsentError: There is none.
            UsageError: There is none, and the requirement has a misspelt tag or name.
        """
        controller = LeaseConnection("the controller", self._target.client, "")
        try:
            lease = controller.lease
            listed, every = (
                controller.portal.call(partial(lease.list_exporters, self._target.selector, offline=offline))
                for offline in (True, False)
            )
            known = controller.portal.call(lease.exporters_leased_by, (os.getpid(), os.getppid()))
        finally:
            controller.close()
        wanted = requirement.among & listed
        if wanted and not wanted & every:
            raise BoardAbsentError(
                f"exporter {' '.join(sorted(wanted))} is offline",
                why="the controller lists it, and nothing serves it now",
                remedy="see whether its host is up and its jmp run goes on; then run again",
            )
        if every and (wanted or every) & every <= known:
            raise self._no_board_error(requirement, known)
        return next(iter(wanted)) if len(wanted) == 1 else ""

    def _no_board_error(
        self, requirement: BoardRequirement, known: set[str]
    ) -> BoardAbsentError | UsageError:
        """Return the error that no board suits.

        Args:
            requirement: What the board must be.
            known: Names of the exporters that this run has leased. A tag counts as misspelt only if this
                search has seen the boards of all of them.
        """
        seen = {found.connection.lease.exporter for found in self.found}
        words = KnownWords.of((found.info for found in self.found), certain=known <= seen)
        mistake = (words | KnownWords.of_lab(self._lab)).mistake(requirement)
        if mistake is not None:
            return mistake
        there = ", ".join(str(found.info) for found in self.found)
        others = ", ".join(sorted(known - seen))
        whys = (
            self._lab.missing(requirement.board),
            there and f"there is {there}",
            others and f"what this run has leased already is not ({others})",
        )
        return BoardAbsentError(
            f"no board {requirement} is among the exporters with {self._target.selector}",
            why="; ".join(filter(None, whys)),
            remedy="give a board that name or those tags, or change what the test asks for",
        )


def _ignore(_line: str) -> None:
    """Show nothing."""


def board_info(facts: dict[str, Any], lab: Lab, exporter: str = "") -> BoardInfo:
    """Return name and tags of a board, for tests that choose by them.

    Args:
        facts: The exporter's description of the board.
        lab: This machine's lab file, which may name the board and add tags.
        exporter: The exporter's name; empty: it is not known.
    """
    serial = str(facts["serial"])
    tags = lab.tags_of(serial).union(facts["tags"])
    return BoardInfo(serial, lab.name_of(serial) or str(facts["name"]), tags, exporter=exporter)
