"""The board of a Jumpstarter lab that this process uses. A lookup that failed is remembered."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.boards.board_source import BoardSource
from hil.boards.requirements import ANY_BOARD
from hil.dutlink.wiring import UP_TIMEOUT_S
from hil.errors import BoardBusyError, BoardLostError, UnavailableError, UsageError
from hil.jumpstarter.client import provider
from hil.lab.safe_state.policy import Safety

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hil.boards.place_info import PlaceInfo
    from hil.boards.remote_lab import LeasesOfController
    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.dutlink.host import Host
    from hil.dutlink.wiring import Wiring
    from hil.jumpstarter.client.waiter_for_several import WaiterForSeveral
    from hil.lab.config.lab import Lab

__all__ = ["RemoteSource"]

GUARD_LIMIT_S = 30.0


class RemoteSource(BoardSource):
    """This process's board of a Jumpstarter lab; the first call of `host` connects to it.

    Args:
        text: The value of `--hil-boards`.
        client: The value of `--hil-client`.
        lab: The lab file of this machine, which may describe boards of other machines, too.
        wait_s: How long to wait for boards that others have, in seconds, over all calls.
        tell: Shows the user a line.
        leases: Boards that the controller has leased; None: this process leases one for itself.
    """

    is_remote = True

    def __init__(  # noqa: PLR0913 - each is an independent option of the run
        self,
        text: str,
        client: str,
        *,
        lab: Lab,
        wait_s: float,
        tell: Callable[[str], None],
        leases: LeasesOfController | None,
    ) -> None:
        super().__init__(lab)
        self._text = text
        self._client = client
        self._wait_s = wait_s
        self._tell = tell
        self._leases = leases
        self._board: provider.JumpstarterBoard | None = None
        self._refused: dict[BoardRequirement, UnavailableError | UsageError] = {}
        self._is_extra = False
        self._waiter: WaiterForSeveral | None = None

    @property
    def is_extra(self) -> bool:
        """Whether this process leased its board beside those of the controller."""
        return self._is_extra

    def host(self, serial: str | None = None, requirement: BoardRequirement | None = None) -> Host:
        """Return the board's host.

        Raises:
            UnavailableError: The lab has no board for this process.
        """
        return self._provided(serial, requirement or ANY_BOARD).host

    def another(self) -> RemoteSource:
        """Return a source for a further board of the same lab, which does not wait for one."""
        another = RemoteSource(
            self._text,
            self._client,
            lab=self._lab,
            wait_s=self._wait_s if self._waiter else 0.0,
            tell=self._tell,
            leases=self._leases,
        )
        another._waiter = self._waiter
        return another

    @contextmanager
    def line(self, needs: Sequence[BoardRequirement], wait_s: float) -> Iterator[Callable[[float], None]]:
        """Stand in the lab's line for several boards; see `BoardSource.line`."""
        waiter = provider.stand_in_line(self._text, self._client, needs, wait_s, self._tell, lab=self._lab)
        if waiter is None:
            yield lambda _left_s: None
            return
        self._waiter = waiter
        try:
            yield waiter.lease_all
        finally:
            self._waiter = None
            waiter.give_back()
            waiter.close()

    def look_again(self) -> None:
        """Forget which requirements the lab could not meet before."""
        self._refused.clear()

    def list_names(self) -> dict[str, str]:
        """Return the exporters that the selector matches; none if `--hil-boards` names one board."""
        exporters = provider.list_exporters(self._text, self._client)
        return {exporter: exporter for exporter in exporters}

    def wiring_of(self, serial: str) -> Wiring:
        """Return the exporter's wiring; what this machine's lab file says of the DUT goes first."""
        here, there = self._lab.wiring_of(serial), self._provided().wiring
        return there._replace(
            login=here.login or there.login,
            up=here.up or there.up,
            up_timeout_s=there.up_timeout_s if here.up_timeout_s == UP_TIMEOUT_S else here.up_timeout_s,
            pace_s=here.pace_s or there.pace_s,
        )

    def place_of(self, serial: str) -> PlaceInfo:
        """Return what both lab files say of the board's place; this machine's file goes first."""
        return super().place_of(serial).merged_over(self._provided().place)

    def remote_info_of(self, serial: str) -> BoardInfo:  # noqa: ARG002 - there is one board
        """Return the name and tags that the exporter's lab file gives to the board."""
        return self._provided().info

    def safety_of(self, serial: str, answer_s: float = 0.0) -> Safety:  # noqa: ARG002 - the exporter makes it safe
        """Return how a guard ends the lease; the exporter then makes the board safe."""
        action, arguments = self._provided().guard
        return Safety(action, arguments, limit_s=GUARD_LIMIT_S)

    def lock_folder(self) -> Path:
        """Return this run's own folder: the lab leases the board, and the lock here only serves the guard."""
        return self._provided().folder

    def note(self, test: str) -> None:
        """Tell the exporter which test uses the board."""
        if self._board is not None:
            self._board.note(test)

    def return_to_lab(self) -> None:
        """Give the board back; harmless when repeated. The next call of `host` connects again."""
        board, self._board = self._board, None
        self._is_extra = False
        if board is not None:
            board.close()

    close = return_to_lab

    def _provided(
        self, serial: str | None = None, requirement: BoardRequirement = ANY_BOARD
    ) -> provider.JumpstarterBoard:
        if self._board is None:
            self._board = self._connect(serial, requirement)
            self._is_extra = self._leases is not None and serial is None
        return self._board

    def _connect(self, serial: str | None, requirement: BoardRequirement) -> provider.JumpstarterBoard:
        for refused in (self._refused.get(requirement), self._refused.get(ANY_BOARD)):
            if refused is not None and serial is None:
                raise refused
        way = self._leases.way_to(serial) if self._leases is not None and serial else ""
        try:
            board = provider.connect_board(
                way or self._text,
                self._client,
                self._patience_s(serial, requirement),
                self._tell,
                requirement=requirement,
                lab=self._lab,
                waiter=None if serial else self._waiter,
            )
        except (UnavailableError, UsageError) as error:
            if serial is None and not isinstance(error, BoardLostError):
                self._refused[requirement] = error
            if isinstance(error, BoardBusyError):
                self._wait_s = 0.0
            raise
        return board

    def _patience_s(self, serial: str | None, requirement: BoardRequirement) -> float:
        """Return how many seconds to wait for a board.

        With a controller, only the wait that remains: `wait_s` minus the controller's wait for the same lab;
        0 for a test that takes any board, because the controller leased all free boards.
        """
        if self._leases is None or serial is not None:
            return self._wait_s
        return 0.0 if requirement.is_any else max(0.0, self._wait_s - self._leases.waited_s())
