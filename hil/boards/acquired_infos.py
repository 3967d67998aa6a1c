"""The names and tags of acquired boards: those of now, or those that a lost board told last."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hil.boards.requirements import BoardInfo
from hil.errors import HilError

if TYPE_CHECKING:
    from hil.boards.acquired import AcquiredBoard
    from hil.boards.requirements import BoardRequirement
    from hil.boards.search import BoardSearch

__all__ = ["AcquiredInfos"]


class AcquiredInfos:
    """Names and tags, by board.

    Args:
        search: Reads them.
    """

    def __init__(self, search: BoardSearch) -> None:
        self._search = search
        self._last: dict[str, BoardInfo] = {}

    def now(self, held: AcquiredBoard) -> BoardInfo:
        """Return the name and tags of a board now.

        Raises:
            HilError: It does not tell them.
        """
        return self._search.info_of(held.board, held.source)

    def fits(self, held: AcquiredBoard, requirement: BoardRequirement, serial: str | None = None) -> bool:
        """Return True if a board is the given one, and meets a requirement.

        Args:
            held: The board.
            requirement: Which boards will do.
            serial: The board that the controller gave to this worker, or None.
        """
        if serial is not None and serial != held.board.serial:
            return False
        return requirement.is_any or requirement.fits(self._last_of(held))

    def name_of(self, held: AcquiredBoard) -> str:
        """Return the name of a board, asked once; empty if it has none, or does not tell it."""
        serial = held.board.serial
        if serial not in self._last:
            self._last[serial] = BoardInfo(serial)
            with suppress(Exception):  # asked between tests, where no error is an outcome
                self._last[serial] = self.now(held)
        return self._last[serial].name

    def _last_of(self, held: AcquiredBoard) -> BoardInfo:
        """Return a board's name and tags now; of a lost board, those that it told last."""
        serial = held.board.serial
        with suppress(HilError):
            self._last[serial] = self.now(held)
        return self._last.get(serial, BoardInfo(serial))
