"""What the suite calls, by name: a board of a Jumpstarter lab, for this process alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.boards.place_info import PlaceInfo
from hil.boards.requirements import ANY_BOARD
from hil.dutlink.timing import Deadline
from hil.jumpstarter.client.lease_guard import GUARD_ACTION, guard_arguments
from hil.jumpstarter.client.target import DirectTarget, LeaseTarget, SelectorTarget, ShellTarget, parse_target
from hil.jumpstarter.optional import require_extra
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

__all__ = ["JumpstarterBoard", "check_client", "check_target", "connect_board", "lease_boards"]


def check_target(text: str, client: str) -> None:
    """See to it that a value of `--hil-boards` can be used at all.

    Raises:
        UsageError: It is not understood, or the extra is not installed.
    """
    parse_target(text, client)
    require_extra()


def check_client(text: str, client: str) -> None:
    """See to it that there is a client for a value of `--hil-boards` that needs one.

    Raises:
        UsageError: There is not, or its configuration cannot be used.
    """
    if isinstance(parse_target(text, client), SelectorTarget):
        from hil.jumpstarter.client.client_config import load_client_config  # noqa: PLC0415 - imports half a second of packages

        load_client_config(client)


def connect_board(  # noqa: PLR0913 - what is asked for, and by whom
    text: str,
    client: str,
    wait_s: float,
    tell: Callable[[str], None],
    *,
    requirement: BoardRequirement = ANY_BOARD,
    lab: Lab | None = None,
) -> JumpstarterBoard:
    """Get a board of a Jumpstarter lab.

    Args:
        text: The value of `--hil-boards`.
        client: The value of `--hil-client`.
        wait_s: How long others may keep it, in seconds, until it is there.
        tell: Shows the user a line.
        requirement: What kind of board is wanted, where there is a choice.
        lab: What this machine's lab file says of such boards, too.

    Raises:
        UnavailableError: There is none for this run.
        UsageError: Something of it is not understood.
    """
    require_extra()
    from hil.jumpstarter.client.remote_board import RemoteBoard  # noqa: PLC0415 - imports half a second of packages

    lab, patience = lab or Lab(), Deadline(wait_s)
    connection = _connection(parse_target(text, client), lab, wait_s, tell, requirement)

    def on_wait(holder: str) -> None:
        tell(f"hil: waiting for the board of {connection.label}: {holder}")

    with connection.close_on_error():
        return JumpstarterBoard(RemoteBoard(connection, patience.left_s, on_wait), lab, client)


def lease_boards(  # noqa: PLR0913 - as above
    text: str,
    client: str,
    wait_s: float,
    tell: Callable[[str], None],
    *,
    lab: Lab,
    requirements: Sequence[BoardRequirement],
    workers: int,
) -> Fleet:
    """Get the boards of a parallel run, in its first process.

    Args:
        text: The value of `--hil-boards`.
        client: The value of `--hil-client`.
        wait_s: How long others may keep all of them, in seconds.
        tell: Shows the user a line.
        lab: What this machine's lab file says of such boards, too.
        requirements: What each test that uses a board wants of it.
        workers: How many boards can be used at a time.

    Raises:
        UnavailableError: There is none for this run.
        UsageError: Something of it is not understood.
    """
    require_extra()
    from hil.jumpstarter.client.fleet import Fleet  # noqa: PLC0415 - as above

    target = parse_target(text, client)
    if isinstance(target, SelectorTarget):
        return Fleet.lease(target, lab, wait_s, tell, requirements=requirements, workers=workers)
    board = connect_board(
        text, client, wait_s, tell, lab=lab
    )  # the only one that there is; workers go the same way
    board.close()
    return Fleet([board.info])


def _connection(
    target: SelectorTarget | LeaseTarget | DirectTarget | ShellTarget,
    lab: Lab,
    wait_s: float,
    tell: Callable[[str], None],
    requirement: BoardRequirement,
) -> ExporterConnection:
    from hil.jumpstarter.client.direct import connect_directly, connect_in_shell  # noqa: PLC0415 - as above
    from hil.jumpstarter.client.leased import SharedLeaseConnection  # noqa: PLC0415 - as above
    from hil.jumpstarter.client.search import Search  # noqa: PLC0415 - as above

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
    """A board of a Jumpstarter lab that this process has to itself.

    Attributes:
        host: Its host, for `open_board`.
        wiring: Its console, as the exporter has it wired.
        folder: This run's own, for the lock of its guard.
        guard: `module:function` and what it gets: how a guard ends what a killed run has begun.
        info: What tests may choose it by.
        place: What the exporter's lab file says of its place.
    """

    def __init__(self, board: RemoteBoard, lab: Lab, client: str) -> None:
        from hil.jumpstarter.client.search import board_info  # noqa: PLC0415 - as above

        self._board = board
        self.host: Host = board.host
        self.wiring: Wiring = board.wiring
        self.folder: Path = board.folder
        self.guard: tuple[str, dict[str, str]] = (GUARD_ACTION, guard_arguments(client, "", board.folder))
        self.info: BoardInfo = board_info(board.facts, lab)
        self.place = PlaceInfo.from_data(board.facts.get("place", {}))

    def note(self, test: str) -> None:
        """Say on the exporter's host what it is used for now."""
        self._board.note(test)

    def close(self) -> None:
        """Give it back; harmless when repeated."""
        self._board.close()
