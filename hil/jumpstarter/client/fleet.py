"""The boards of a parallel run: its first process leases them, and its workers use them by turns.

So a worker gets any board as fast as a connection is made, no hook runs twice, and a test that asks for a
certain board is given to whoever has that. A lease ends when no test is left for its board.
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
    """Leased exporters, given back one by one, and all that are left by `close`.

    Args:
        infos: Their boards, with the way that a worker takes to each.
        ends: For each serial number, what ends its lease; None: this run has no leases.

    Attributes:
        infos: As above.
    """

    def __init__(
        self, infos: Sequence[BoardInfo], ends: Mapping[str, Callable[[], None]] | None = None
    ) -> None:
        self.infos = list(infos)
        self._ends = dict(ends or {})
        self._ending: list[threading.Thread] = []

    @classmethod
    def lease(  # noqa: PLR0913 - what is asked for, and by whom
        cls,
        target: SelectorTarget,
        lab: Lab,
        wait_s: float,
        tell: Callable[[str], None],
        *,
        requirements: Sequence[BoardRequirement],
        workers: int,
    ) -> Self:
        """Lease a board for each worker, and for each requirement at least one that suits.

        Args:
            target: What exporters will do.
            lab: What this machine's lab file says of their boards, too.
            wait_s: How long others may keep all of them, in seconds; only the first is waited for.
            tell: Shows the user a line.
            requirements: What each test wants.
            workers: How many boards can be used at a time.

        Raises:
            UnavailableError: There is none.
        """
        search = Search(target, lab, wait_s, tell)
        with ExitStack() as undo:
            undo.callback(search.close)
            search.lease(min(workers, len(requirements)))
            chosen = choose_boards(search, requirements, workers)
            search.keep(chosen)
            undo.pop_all()
            return cls(
                [_with_way(one) for one in chosen], {one.info.serial: one.connection.close for one in chosen}
            )

    def give_back(self, serial: str) -> None:
        """Let others have a board, in the background: tests go on meanwhile; harmless when repeated."""
        end = self._ends.pop(serial, None)
        if end is not None:
            thread = threading.Thread(target=end, name=f"hil-end-lease-{serial}")
            thread.start()
            self._ending.append(thread)

    def close(self) -> None:
        """Give all of them back, and wait until they are; harmless when repeated."""
        for serial in list(self._ends):
            self.give_back(serial)
        while self._ending:
            self._ending.pop().join()


def choose_boards(search: Search, requirements: Sequence[BoardRequirement], workers: int) -> list[FoundBoard]:
    """Choose boards: one for each requirement that any can fulfil, then as many as workers can use."""
    chosen: list[FoundBoard] = []
    for requirement in sorted(set(requirements), key=lambda requirement: requirement.is_any):
        if not any(requirement.fits(one.info) for one in chosen):
            try:
                chosen.append(search.find(requirement, waits=False))
            except (UnavailableError, UsageError):
                continue  # its tests look for themselves, wait for what others have, and say why
    rest = [one for one in search.found if one not in chosen and _is_wanted(one, requirements)]
    return chosen + rest[: max(0, workers - len(chosen))]


def _is_wanted(found: FoundBoard, requirements: Sequence[BoardRequirement]) -> bool:
    return any(requirement.fits(found.info) for requirement in requirements)


def _with_way(found: FoundBoard) -> BoardInfo:
    return replace(found.info, way=LeaseTarget(found.connection.lease.name).text)
