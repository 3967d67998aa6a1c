"""What the suite calls, by name: a board of a Jumpstarter lab, for this process alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.jumpstarter.extra import require_extra
from hil.jumpstarter.target import Direct, InShell, Leased, read_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.host import Host
    from hil.dutlink.wiring import Wiring
    from hil.jumpstarter.remote_board import RemoteBoard

__all__ = ["FarBoard", "check", "reach"]

_GUARD = "hil.jumpstarter.guarding:end_lease"


def check(text: str, client: str) -> None:
    """See to it that a value of `--hil-boards` can be used at all.

    Raises:
        UsageError: It is not understood, or the extra is not installed.
    """
    read_target(text, client)
    require_extra()


def reach(text: str, client: str, wait_s: float, tell: Callable[[str], None]) -> FarBoard:
    """Get a board of a Jumpstarter lab.

    Args:
        text: The value of `--hil-boards`.
        client: The value of `--hil-client`.
        wait_s: How long others may keep it, in seconds.
        tell: Shows the user a line.

    Raises:
        UnavailableError: There is none for this run.
        UsageError: Something of it is not understood.
    """
    require_extra()
    from hil.jumpstarter.remote_board import RemoteBoard  # noqa: PLC0415 - imports half a second of packages

    target = read_target(text, client)
    road, guard = _road(target, wait_s, tell)

    def on_wait(holder: str) -> None:
        tell(f"hil: waiting for the board of {road.label}: {holder}")

    with road.or_closed():
        return FarBoard(RemoteBoard(road, wait_s, on_wait), guard)


def _road(
    target: Leased | Direct | InShell, wait_s: float, tell: Callable[[str], None]
) -> tuple[Any, dict[str, Any]]:
    """Open the road, and say what a guard must know to end the lease, if there is one."""
    from hil.jumpstarter.direct import direct_road, shell_road  # noqa: PLC0415 - as above
    from hil.jumpstarter.leased import LeasedRoad  # noqa: PLC0415 - as above

    if isinstance(target, Direct):
        return direct_road(target), {}
    if isinstance(target, InShell):
        return shell_road(target), {}
    road = LeasedRoad(target, wait_s, tell)
    file = str(Path(target.client).absolute()) if "/" in target.client else target.client
    return road, {"client": file, "lease": road.leasing.name}


class FarBoard:
    """A board of a Jumpstarter lab that this process has to itself.

    Attributes:
        host: Its host, for `open_board`.
        wiring: Its console, as the exporter has it wired.
        folder: This run's own, for the lock of its guard.
        guard: `module:function` and what it gets: how a guard ends what a killed run has begun.
    """

    def __init__(self, board: RemoteBoard, guard: dict[str, Any]) -> None:
        self._board = board
        self.host: Host = board.host
        self.wiring: Wiring = board.wiring
        self.folder: Path = board.folder
        self.guard: tuple[str, dict[str, Any]] = (_GUARD, guard | {"folder": str(board.folder)})

    def note(self, test: str) -> None:
        """Say on the exporter's host what it is used for now."""
        self._board.note(test)

    def close(self) -> None:
        """Give it back; harmless when repeated."""
        self._board.close()
