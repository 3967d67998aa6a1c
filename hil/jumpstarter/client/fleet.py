"""Leased boards of a parallel run: its controller leases them, its workers connect to them in turn.

So a worker gets a board as fast as it can connect, hooks run once for each board, and a test that requires a
certain board runs on the worker that has it. A lease ends when no test is left for its board.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from hil.errors import UnavailableError, UsageError
from hil.jumpstarter.client.search import Search
from hil.jumpstarter.client.target import LeaseTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.jumpstarter.client.search import FoundBoard
    from hil.jumpstarter.client.target import SelectorTarget
    from hil.lab.config.lab import Lab

__all__ = ["Fleet", "choose_boards"]


class Fleet:
    """Leased exporters; `return_to_lab` ends one lease, `close` all that are left.

    Args:
        infos: The boards, each with the text by which a worker connects to it.
        ends: For each serial number the function that ends its lease; None: this run has no leases.

    Attributes:
        infos: The boards, each with the text by which a worker connects to it.
    """

    def __init__(
        self, infos: Sequence[BoardInfo], ends: Mapping[str, Callable[[], None]] | None = None
    ) -> None:
        self.infos = list(infos)
        self._ends = dict(ends or {})
        self._ending: list[threading.Thread] = []

    @classmethod
    def lease(  # noqa: PLR0913 - each is an independent wish
        cls,
        target: SelectorTarget,
        lab: Lab,
        wait_s: float,
        tell: Callable[[str], None],
        *,
        requirements: Sequence[BoardRequirement],
        workers: int,
    ) -> Self:
        """Lease a board for each worker, and at least one suitable board for each requirement.

        Args:
            target: The labels of suitable exporters.
            lab: This machine's lab file, which may add names and tags of boards.
            wait_s: How long to wait while all exporters are in use, in seconds; only for the first.
            tell: Shows the user a line.
            requirements: The requirement of each test.
            workers: How many boards can be used at a time.

        Raises:
            UnavailableError: The lab has no board for this run.
        """
        search = Search(target, lab, wait_s, tell)
        with ExitStack() as undo:
            undo.callback(search.close)
            search.lease(min(workers, len(requirements)))
            chosen = choose_boards(search, requirements, workers)
            search.keep(chosen)
            undo.pop_all()
            return cls(
                [_with_way(found) for found in chosen],
                {found.info.serial: found.connection.close for found in chosen},
            )

    def return_to_lab(self, serial: str) -> None:
        """End a board's lease in the background, while tests go on; harmless when repeated."""
        end = self._ends.pop(serial, None)
        if end is not None:
            thread = threading.Thread(target=end, name=f"hil-end-lease-{serial}")
            thread.start()
            self._ending.append(thread)

    def close(self) -> None:
        """End all leases and wait until they have ended; harmless when repeated."""
        for serial in list(self._ends):
            self.return_to_lab(serial)
        while self._ending:
            self._ending.pop().join()


def choose_boards(search: Search, requirements: Sequence[BoardRequirement], workers: int) -> list[FoundBoard]:
    """Choose a board for each requirement that one fulfils, then more until each worker has one."""
    chosen: list[FoundBoard] = []
    for requirement in sorted(set(requirements), key=lambda requirement: requirement.is_any):
        if not any(requirement.fits(one.info) for one in chosen):
            try:
                chosen.append(search.find(requirement, waits=False))
            except (UnavailableError, UsageError):
                continue  # the tests with this requirement search again and report the error
    rest = [one for one in search.found if one not in chosen and _is_wanted(one, requirements)]
    return chosen + rest[: max(0, workers - len(chosen))]


def _is_wanted(found: FoundBoard, requirements: Sequence[BoardRequirement]) -> bool:
    return any(requirement.fits(found.info) for requirement in requirements)


def _with_way(found: FoundBoard) -> BoardInfo:
    return replace(found.info, way=LeaseTarget(found.connection.lease.name).text)
