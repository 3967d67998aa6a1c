"""Boards of a Jumpstarter lab for the test suite, which imports this module by name.

Functions import the rest of this package when they are called: its imports take half a second.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hil.boards.place_info import PlaceInfo
from hil.boards.requirements import ANY_BOARD
from hil.dutlink.timing import Deadline
from hil.errors import UsageError
from hil.jumpstarter.client.lease_guard import GUARD_ACTION, guard_arguments
from hil.jumpstarter.client.target import (
    DirectTarget,
    LeaseTarget,
    SelectorTarget,
    ShellTarget,
    parse_target,
)
from hil.lab.config.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.dutlink.host import Host
    from hil.dutlink.wiring import Wiring
    from hil.jumpstarter.client.connection import ExporterConnection
    from hil.jumpstarter.client.fleet import Fleet
    from hil.jumpstarter.client.remote_board import RemoteBoard
    from hil.jumpstarter.client.waiter_for_several import WaiterForSeveral

__all__ = [
    "JumpstarterBoard",
    "check_client",
    "check_target",
    "connect_board",
    "lease_boards",
    "list_exporters",
    "require_extra",
    "stand_in_line",
]

_NEEDED = ("jumpstarter", "jumpstarter_protocol", "grpc", "anyio")


def require_extra() -> None:
    """Check that Jumpstarter's packages are installed, without importing them.

    Raises:
        UsageError: A package is missing.
    """
    missing = next((name for name in _NEEDED if find_spec(name) is None), None)
    if missing is not None:
        raise UsageError(
            "boards of a Jumpstarter lab cannot be used",
            why=f"the package {missing} is not installed: Jumpstarter is an extra of hil",
            remedy="in a checkout of hil: pip install -e '.[jumpstarter]'",
        )


def check_target(text: str, client: str) -> None:
    """Check a value of `--hil-boards`, without connecting to anything.

    Raises:
        UsageError: The value is not understood, or the extra is not installed.
    """
    parse_target(text, client)
    require_extra()


def check_client(text: str, client: str) -> None:
    """Check that a client's configuration can be loaded, if this value of `--hil-boards` needs one.

    Raises:
        UsageError: There is no such configuration, or it cannot be used.
    """
    if isinstance(parse_target(text, client), SelectorTarget):
        from hil.jumpstarter.client.client_config import load_client_config  # noqa: PLC0415 - half a second

        load_client_config(client)


def connect_board(  # noqa: PLR0913 - each is an independent option of the run
    text: str,
    client: str,
    wait_s: float,
    tell: Callable[[str], None],
    *,
    requirement: BoardRequirement = ANY_BOARD,
    lab: Lab | None = None,
    waiter: WaiterForSeveral | None = None,
) -> JumpstarterBoard:
    """Connect to a board of a Jumpstarter lab; lease an exporter first, if `text` is a selector.

    Args:
        text: The value of `--hil-boards`.
        client: The value of `--hil-client`.
        wait_s: How long to wait while suitable boards are in use, in seconds.
        tell: Shows the user a line.
        requirement: What the board must be, if there is a choice.
        lab: This machine's lab file, which may add names and tags of boards.
        waiter: Has leased the exporters of a test that uses several: the board is that of the next one.

    Raises:
        UnavailableError: The lab has no board for this run.
        UsageError: An argument is not understood.
    """
    require_extra()
    from hil.jumpstarter.client.remote_board import RemoteBoard  # noqa: PLC0415 - half a second

    lab, deadline = lab or Lab(), Deadline(wait_s)
    if waiter is None:
        connection = _connect(parse_target(text, client), lab, wait_s, tell, requirement)
    else:
        connection = waiter.take()

    def on_wait(holder: str) -> None:
        tell(f"hil: waiting for the board of {connection.label}: {holder}")

    with connection.close_on_error():
        board = RemoteBoard(connection, deadline.left_s, on_wait)
        return JumpstarterBoard(board, lab, client, connection.exporter)


def lease_boards(  # noqa: PLR0913 - each is an independent option of the run
    text: str,
    client: str,
    wait_s: float,
    tell: Callable[[str], None],
    *,
    lab: Lab,
    requirements: Sequence[BoardRequirement],
    workers: int,
) -> Fleet:
    """Lease the boards of a parallel run; its controller calls this.

    Args:
        text: The value of `--hil-boards`.
        client: The value of `--hil-client`.
        wait_s: How long to wait while all suitable boards are in use, in seconds.
        tell: Shows the user a line.
        lab: This machine's lab file, which may add names and tags of boards.
        requirements: The requirement of each test that uses a board.
        workers: How many boards can be used at a time.

    Raises:
        UnavailableError: The lab has no board for this run.
        UsageError: An argument is not understood.
    """
    require_extra()
    from hil.jumpstarter.client.fleet import Fleet  # noqa: PLC0415 - half a second

    target = parse_target(text, client)
    if isinstance(target, SelectorTarget):
        return Fleet.lease(target, lab, wait_s, tell, requirements=requirements, workers=workers)
    # Connect once to learn name and tags; workers connect later.
    board = connect_board(text, client, wait_s, tell, lab=lab)
    board.close()
    return Fleet([board.info])


def stand_in_line(  # noqa: PLR0913 - each is an independent option of the run
    text: str,
    client: str,
    needs: Sequence[BoardRequirement],
    wait_s: float,
    tell: Callable[[str], None],
    *,
    lab: Lab,
) -> WaiterForSeveral | None:
    """Let a test that uses several boards wait in the lab's line; the caller closes what is returned.

    Returns None if `text` names one board: without a selector there is no line.

    Args:
        text: The value of `--hil-boards`.
        client: The value of `--hil-client`.
        needs: What each of its boards must be.
        wait_s: How long it waits for them, in seconds.
        tell: Shows the user a line.
        lab: This machine's lab file, which may add names and tags of boards.

    Raises:
        BoardAbsentError: The controller cannot be reached.
    """
    target = parse_target(text, client)
    if not isinstance(target, SelectorTarget):
        return None
    require_extra()
    from hil.jumpstarter.client.waiter_for_several import WaiterForSeveral  # noqa: PLC0415 - half a second

    return WaiterForSeveral(target, needs, wait_s, tell, lab=lab)


def list_exporters(text: str, client: str) -> list[str]:
    """Return the names of the exporters that a selector matches, also of those that are offline or leased.

    Returns none if `text` names one board, without a selector.

    Raises:
        HilError: The controller cannot be reached.
    """
    target = parse_target(text, client)
    if not isinstance(target, SelectorTarget):
        return []
    require_extra()
    from hil.jumpstarter.client.leased import LeaseConnection  # noqa: PLC0415 - half a second

    controller = LeaseConnection("the controller", target.client, "")
    try:
        every = controller.portal.call(
            partial(controller.lease.list_exporters, target.selector, offline=True)
        )
    finally:
        controller.close()
    return sorted(every)


def _connect(
    target: SelectorTarget | LeaseTarget | DirectTarget | ShellTarget,
    lab: Lab,
    wait_s: float,
    tell: Callable[[str], None],
    requirement: BoardRequirement,
) -> ExporterConnection:
    from hil.jumpstarter.client.direct import connect_directly, connect_in_shell  # noqa: PLC0415 - half a second
    from hil.jumpstarter.client.leased import SharedLeaseConnection  # noqa: PLC0415 - half a second
    from hil.jumpstarter.client.search import Search  # noqa: PLC0415 - half a second

    if isinstance(target, DirectTarget):
        return connect_directly(target)
    if isinstance(target, ShellTarget):
        return connect_in_shell(target)
    if isinstance(target, LeaseTarget):
        return SharedLeaseConnection(target, wait_s)
    search = Search(target, lab, wait_s, tell)
    try:
        found = search.find(requirement)
    except BaseException:
        search.close()
        raise
    search.keep([found])
    return found.connection


class JumpstarterBoard:
    """A board of a Jumpstarter lab that this process uses alone.

    Attributes:
        host: The board's host, for `open_driver`.
        wiring: The board's wiring, from the exporter.
        folder: This run's own folder, for the lock of its guard.
        guard: The action and arguments with which a guard cleans up if this process is killed.
        info: Name and tags of the board, for tests that choose by them.
        place: What the exporter's lab file says of the board's place.
    """

    def __init__(self, board: RemoteBoard, lab: Lab, client: str, exporter: str) -> None:
        from hil.jumpstarter.client.search import board_info  # noqa: PLC0415 - half a second

        self._board = board
        self.host: Host = board.host
        self.wiring: Wiring = board.wiring
        self.folder: Path = board.folder
        self.guard: tuple[str, dict[str, str]] = (GUARD_ACTION, guard_arguments(client, "", board.folder))
        self.info: BoardInfo = board_info(board.facts, lab, exporter)
        self.place = PlaceInfo.from_data(board.facts.get("place", {}))

    def note(self, test: str) -> None:
        """Tell the exporter which test uses the board."""
        self._board.note(test)

    def close(self) -> None:
        """Give the board back; harmless when repeated."""
        self._board.close()
