"""A board of a Jumpstarter lab in the place of this host's: asked for once, whatever comes of it is kept.

`hil.jumpstarter` is an extra: it is imported by name, and only by runs that ask for such boards.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

from hil.boards.requirements import ANY_BOARD
from hil.errors import BoardBusyError, BoardLostError, UnavailableError, UsageError
from hil.lab.safe_state.policy import Safety

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hil.boards.address import BoardsOption
    from hil.boards.place_info import PlaceInfo
    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.dutlink.host import Host
    from hil.dutlink.wiring import Wiring
    from hil.lab.config.lab import Lab

__all__ = ["BoardSharing", "RemoteSource"]

GUARD_LIMIT_S = 30.0


class ProvidedBoard(Protocol):
    """What `hil.jumpstarter.client.provider:reach` gives."""

    host: Host
    wiring: Wiring
    folder: Path
    guard: tuple[str, Mapping[str, object]]
    info: BoardInfo
    place: PlaceInfo

    def note(self, test: str) -> None:
        """Say there what it is used for now."""
        ...

    def close(self) -> None:
        """Give it back; harmless when repeated."""
        ...


class BoardSharing(Protocol):
    """How a run's first process shares out boards of a lab that it has leased."""

    def way_to(self, serial: str) -> str:
        """How to get to a board that this process was given."""
        ...

    def waited_s(self) -> float:
        """How long it waited for boards, in seconds."""
        ...


class RemoteSource:
    """This process's board of a Jumpstarter lab.

    Args:
        boards: What the run was asked for.
        wait_s: How long to wait for a board that others have, in seconds; what was waited in vain is not
            waited again.
        tell: Shows the user a line.
        sharing: The run's first process shares out boards that it has leased. None: it does not, so this
            process leases one for itself.
        lab: What this machine's lab file says of its boards, too.
    """

    def __init__(
        self,
        boards: BoardsOption,
        wait_s: float,
        tell: Callable[[str], None],
        *,
        sharing: BoardSharing | None,
        lab: Lab,
    ) -> None:
        self._boards = boards
        self._wait_s = wait_s
        self._tell = tell
        self._sharing = sharing
        self._lab = lab
        self._board: ProvidedBoard | None = None
        self._refused: dict[BoardRequirement, UnavailableError | UsageError] = {}
        self.is_extra = False

    def host(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:
        """Return the board's host; the first call reaches it.

        Args:
            serial: The board that this process was given, if it was.
            requirement: What kind of board is wanted, if it was given none; None: any.

        Raises:
            UnavailableError: The lab has none for this process.
        """
        return self._reached(serial, requirement or ANY_BOARD).host

    def wiring(self) -> Wiring:
        """Return how the board is wired there."""
        return self._reached().wiring

    def info(self) -> BoardInfo:
        """Return the name and tags that it has there."""
        return self._reached().info

    def place(self) -> PlaceInfo:
        """Return what the lab file there says of its place."""
        return self._reached().place

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
        """Give the board back; harmless when repeated. The next call of `host` reaches one again."""
        board, self._board = self._board, None
        self.is_extra = False
        if board is not None:
            board.close()

    def _reached(self, serial: str | None = None, requirement: BoardRequirement = ANY_BOARD) -> ProvidedBoard:
        if self._board is None:
            self._board = self._reach(serial, requirement)
            self.is_extra = self._sharing is not None and serial is None
        return self._board

    def _reach(self, serial: str | None, requirement: BoardRequirement) -> ProvidedBoard:
        for refused in (self._refused.get(requirement), self._refused.get(ANY_BOARD)):
            if refused is not None and serial is None:
                raise refused
        way = self._sharing.way_to(serial) if self._sharing is not None and serial else ""
        reach = importlib.import_module("hil.jumpstarter.client.provider").reach
        try:
            asked = (
                way or self._boards.text,
                self._boards.client,
                self._patience_s(serial, requirement),
                self._tell,
            )
            board: ProvidedBoard = reach(*asked, requirement=requirement, lab=self._lab)
        except (UnavailableError, UsageError) as error:
            if serial is None and not isinstance(error, BoardLostError):
                self._refused[requirement] = error
            if isinstance(error, BoardBusyError):
                self._wait_s = 0.0
            raise
        return board

    def _patience_s(self, serial: str | None, requirement: BoardRequirement) -> float:
        """How long to wait: no longer than the run's first process has left over for the same lab.

        It got what boards there were for tests that take any.
        """
        if self._sharing is None or serial is not None:
            return self._wait_s
        return 0.0 if requirement.is_any else max(0.0, self._wait_s - self._sharing.waited_s())
