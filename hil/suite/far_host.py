"""A board of a Jumpstarter lab in the place of this host's: asked for once, whatever comes of it is kept.

`hil.jumpstarter` is an extra: it is imported by name, and only by runs that ask for such boards.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

from hil.errors import BoardLostError, UnavailableError
from hil.lab.safety import Safety

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hil.dutlink.host import Host
    from hil.dutlink.wiring import Wiring
    from hil.suite.options import BoardsOption

__all__ = ["FarHost"]

GUARD_LIMIT_S = 30.0


class FarBoard(Protocol):
    """What `hil.jumpstarter.reach:reach` gives."""

    host: Host
    wiring: Wiring
    folder: Path
    guard: tuple[str, Mapping[str, object]]

    def note(self, test: str) -> None:
        """Say there what it is used for now."""
        ...

    def close(self) -> None:
        """Give it back; harmless when repeated."""
        ...


class FarHost:
    """This process's board of a Jumpstarter lab.

    Args:
        boards: What the run was asked for.
        wait_s: How long to wait for a board that others have, in seconds; what was waited in vain is not
            waited again.
        tell: Shows the user a line.
    """

    def __init__(self, boards: BoardsOption, wait_s: float, tell: Callable[[str], None]) -> None:
        self._boards = boards
        self._wait_s = wait_s
        self._tell = tell
        self._board: FarBoard | None = None
        self._refused: UnavailableError | None = None

    def host(self) -> Host:
        """Return the board's host; the first call leases it.

        Raises:
            UnavailableError: The lab has none for this process.
        """
        return self._reached().host

    def wiring(self) -> Wiring:
        """Return how the board is wired there."""
        return self._reached().wiring

    def safety(self) -> Safety:
        """Return what a guard has to do."""
        action, arguments = self._reached().guard
        return Safety(action, arguments, limit_s=GUARD_LIMIT_S)

    def lock_folder(self) -> Path:
        """Return where its guard's lock is."""
        return self._reached().folder

    def note(self, test: str) -> None:
        """Say to others what the board is used for now."""
        if self._board is not None:
            self._board.note(test)

    def close(self) -> None:
        """Give the board back; harmless when repeated. The next call of `host` leases one again."""
        board, self._board = self._board, None
        if board is not None:
            board.close()

    def _reached(self) -> FarBoard:
        if self._refused is not None:
            raise self._refused
        if self._board is None:
            reach = importlib.import_module("hil.jumpstarter.reach").reach
            try:
                self._board = reach(self._boards.text, self._boards.client, self._wait_s, self._tell)
            except UnavailableError as error:
                if not isinstance(error, BoardLostError):
                    self._refused = error
                raise
        board: FarBoard = self._board
        return board
