"""Looking for a board that suits, where only its exporter knows name and tags: one after another is leased.

Those that do not suit are kept until the search is over, so that the controller gives others.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

from hil.boards.misspelling import KnownWords
from hil.boards.requirements import BoardInfo
from hil.errors import BoardAbsentError, UnavailableError, UsageError
from hil.jumpstarter.client.leased import LeaseConnection, OwnLeaseConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.boards.requirements import BoardRequirement
    from hil.jumpstarter.client.connection import ExporterConnection
    from hil.jumpstarter.client.target import SelectorTarget
    from hil.lab.config.lab import Lab

__all__ = ["FoundBoard", "Search", "board_info", "describe_board"]


@dataclass(frozen=True, slots=True)
class FoundBoard:
    """A leased exporter, and the board that it has."""

    connection: OwnLeaseConnection
    info: BoardInfo


class Search:
    """Exporters that are leased while a board is looked for.

    Args:
        target: What exporters will do.
        lab: What this machine's lab file says of their boards, too.
        wait_s: How long others may keep all of them, in seconds, for the whole search.
        tell: Shows the user a line.

    Attributes:
        found: What is leased now.
    """

    def __init__(self, target: SelectorTarget, lab: Lab, wait_s: float, tell: Callable[[str], None]) -> None:
        self.found: list[FoundBoard] = []
        self._target = target
        self._lab = lab
        self._tell = tell
        self._given = Event()
        self._ends_s = time.monotonic() + wait_s

    def lease(self, number: int) -> None:
        """Lease as many as are free, `number` at most; wait for the first.

        Raises:
            UnavailableError: There is none.
        """
        failed: list[UnavailableError] = []
        with ThreadPoolExecutor(number) as threads:
            tells = [self._tell, *[_nobody] * (number - 1)]  # all of them wait for the same
            for lease in [threads.submit(self._lease, self._given, tell) for tell in tells]:
                try:
                    lease.result()
                except UnavailableError as error:
                    failed.append(error)
        if not self.found:
            raise failed[0]

    def find(self, requirement: BoardRequirement, *, waits: bool = True) -> FoundBoard:
        """Return an exporter whose board suits; one after another is leased until there is one.

        Args:
            requirement: What it must be.
            waits: Whether to wait for what others have.

        Raises:
            BoardBusyError: Those that were not seen stayed in use.
            BoardAbsentError: None suits; or no exporter has the labels.
            UnavailableError: As lease can fail.
        """
        while True:
            suits = next((one for one in self.found if requirement.fits(one.info)), None)
            if suits is not None:
                return suits
            if not requirement.is_any:
                self._check_that_others_are_left(requirement)
            self._lease(None if waits else self._given, self._tell)

    def keep(self, chosen: Iterable[FoundBoard]) -> None:
        """Give the others back."""
        kept = list(chosen)
        for one in [one for one in self.found if one not in kept]:
            self.found.remove(one)
            one.connection.close()

    def close(self) -> None:
        """Give all of them back."""
        self.keep(())

    def _lease(self, given: Event | None, tell: Callable[[str], None]) -> None:
        left_s = max(0.0, self._ends_s - time.monotonic())
        connection = OwnLeaseConnection(self._target, left_s, tell, given=given)
        with connection.close_on_error():
            self.found.append(FoundBoard(connection, describe_board(connection, self._lab)))

    def _check_that_others_are_left(self, requirement: BoardRequirement) -> None:
        """See to it that there are exporters that this run does not know yet.

        Raises:
            BoardAbsentError: There are none.
            UsageError: The same, and a word of the requirement is misspelt.
        """
        desk = LeaseConnection("the controller", self._target.client, "")
        try:
            every = desk.portal.call(desk.lease.list_exporters, self._target.selector)
            known = desk.portal.call(desk.lease.exporters_leased_by, (os.getpid(), os.getppid()))
        finally:
            desk.close()
        if every and every <= known:
            raise self._nothing_suits(requirement, known)

    def _nothing_suits(self, requirement: BoardRequirement, known: set[str]) -> BoardAbsentError | UsageError:
        """Return why no exporter suits: a word is misspelt if all have told theirs, and none knows it."""
        seen = {one.connection.lease.exporter for one in self.found}
        words = KnownWords.of((one.info for one in self.found), certain=known <= seen)
        mistake = (words | KnownWords.of_lab(self._lab)).mistake(requirement)
        if mistake is not None:
            return mistake
        there = ", ".join(str(one.info) for one in self.found)
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


def _nobody(_line: str) -> None:
    """Tell nobody."""


def describe_board(connection: ExporterConnection, lab: Lab) -> BoardInfo:
    """Return what tests may choose an exporter's board by.

    Args:
        connection: To the exporter.
        lab: What this machine's lab file says of it, too.

    Raises:
        BoardLostError: It does not answer.
    """
    return board_info(connection.describe(), lab)


def board_info(facts: dict[str, Any], lab: Lab) -> BoardInfo:
    """Return the info that an exporter's facts make, with what this machine's lab file says, too."""
    serial = str(facts["serial"])
    tags = lab.tags_of(serial).union(facts["tags"])
    return BoardInfo(serial, lab.name_of(serial) or str(facts["name"]), tags)
