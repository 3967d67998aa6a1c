"""What `hil boards` knows of each board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.cli.using_board import host_of
from hil.dutlink.board import open_board
from hil.dutlink.discovery import list_boards
from hil.dutlink.waiting import hold as let_pass
from hil.errors import BoardBusyError, HilError, Verdict
from hil.lab.board_record import read_record
from hil.lab.lease import hold
from hil.lab.lock_file import lock_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.sighting import Sighting

__all__ = ["BoardList"]

_LOOK_EVERY_S = 2.0


class BoardList:
    """The boards of a host.

    Args:
        boards: Where they are, as `--hil-boards` has it.

    Raises:
        UsageError: `boards` is no place where boards already are.
    """

    def __init__(self, boards: str) -> None:
        self._host = host_of(boards)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each board: the same keys for all, None for what is not known."""
        return [self._row(sighting) for sighting in list_boards(self._host)]

    def changes(self, times: int | None) -> Iterator[list[dict[str, Any]]]:
        """Look again and again, `times` at most, and yield the rows whenever they have changed."""
        last: list[dict[str, Any]] | None = None
        looks = 0
        while times is None or looks < times:
            if looks:
                let_pass(_LOOK_EVERY_S)
            looks += 1
            rows = self.rows()
            if rows != last:
                last = rows
                yield rows

    def _row(self, sighting: Sighting) -> dict[str, Any]:
        row: dict[str, Any] = {
            "board": sighting.serial or f"at {sighting.location}",
            "state": str(sighting.verdict),
            "firmware": str(sighting.firmware) if sighting.firmware else None,
            **dict.fromkeys(("name", "tags", "watts", "holder", "safe")),
            "why": sighting.error.what if sighting.error else "",
        }
        if sighting.serial is None:
            return row
        try:
            with hold(sighting.serial, test="hil boards"):
                row["safe"] = not read_record(lock_folder(), sighting.serial).needs_safety
                if sighting.verdict is Verdict.PRESENT:
                    row |= self._words(sighting.serial)
        except BoardBusyError as error:
            row |= {"state": "busy", "holder": error.why}
        except HilError as error:
            row["why"] = error.what
        return row

    def _words(self, serial: str) -> dict[str, Any]:
        with open_board(self._host, serial, console=False) as board:
            kept = board.settings.read()
            return {"name": kept.name, "tags": kept.tag_list, "watts": board.power.read().watts}
