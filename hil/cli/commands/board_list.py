"""The rows of `hil boards`: the state of each board."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hil.cli.board_context import current_lab, find_host
from hil.dutlink.board import open_driver
from hil.dutlink.discovery import list_boards
from hil.dutlink.held_boards import held_boards
from hil.dutlink.timing import sleep
from hil.errors import BoardBusyError, HilError, SpoiltFileError, Verdict
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lease import holder_of, last_used_s
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import lock_file_problem
from hil.lab.safe_state.record import BoardState, read_record, record_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.discovery import ProbeResult
    from hil.lab.safe_state.record import BoardRecord

__all__ = ["BoardList", "BoardRow"]

_LOOK_EVERY_S = 2.0
_UNKNOWN = "unknown"
_HEALTHY = "ok"


@dataclass(slots=True)
class BoardRow:
    """A board as `hil boards` prints it. None means unknown.

    Attributes:
        board: Its serial number, or its USB location if the number is unknown.
        name: Name of its place in the lab file, else the name stored on it; for a board in use, the last
            known one.
        tags: Its tags in the lab file and those stored on it.
        firmware: Its firmware version.
        state: present, busy, absent, denied, lost.
        position: Position of the stick: off, host, dut, or unknown. A board does not report it: it is what
            the host sees, or the last position that hil set.
        power: Whether its DUT draws current: on or off.
        watts: Power that the DUT draws.
        holder: The holder of its lease, and the holder's test or command.
        since: Start of the lease, UTC, ISO 8601.
        safe: Whether its last holder left it safe; None while a process holds it.
        health: "ok", or the problems.
        why: The causes of the problems.
    """

    board: str
    name: str | None = None
    tags: list[str] | None = None
    firmware: str | None = None
    state: str = str(Verdict.ABSENT)
    position: str = _UNKNOWN
    power: str | None = None
    watts: float | None = None
    holder: str | None = None
    since: str | None = None
    safe: bool | None = None
    health: str = _HEALTHY
    why: str = field(default="", kw_only=True)

    def add_trouble(self, health: str, why: str) -> None:
        """Add a problem after those that were found before."""
        is_first = self.health == _HEALTHY
        self.health = health if is_first else f"{self.health}, {health}"
        self.why = "; ".join(filter(None, ("" if is_first else self.why, why)))


class BoardList:
    """The boards of a host.

    Args:
        boards: Value of `--boards`.

    Raises:
        UsageError: `boards` names no existing boards, or the lab file has an error.
    """

    def __init__(self, boards: str) -> None:
        self._host = find_host(boards)
        self._lab = current_lab()

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each board, then one for each place whose board is absent."""
        rows = [self._row(result) for result in list_boards(self._host)]
        there = {row.board for row in rows}
        missing = [place for place in self._lab.places.values() if place.serial not in there]
        rows += [
            BoardRow(place.serial, self._lab.name_of(place.serial), list(place.tags)) for place in missing
        ]
        return [asdict(row) for row in rows]

    def changes(self, times: int | None) -> Iterator[list[dict[str, Any]]]:
        """List the boards repeatedly, at most `times` times, and yield the rows when they have changed."""
        last: list[dict[str, Any]] | None = None
        looks = 0
        while times is None or looks < times:
            if looks:
                sleep(_LOOK_EVERY_S)
            looks += 1
            rows = self.rows()
            if rows != last:
                last = rows
                yield rows

    def _row(self, result: ProbeResult) -> BoardRow:
        row = BoardRow(result.serial or f"at {result.location}", state=str(result.verdict))
        row.firmware = str(result.firmware) if result.firmware else None
        if result.error is not None:
            row.add_trouble(str(result.verdict), result.error.what)
        if result.serial is not None:
            row.name = self._lab.name_of(result.serial) or None
            self._ask(row, result.serial, result.verdict)
            row.name = row.name or self._host.name_of(result.serial) or None
        return row

    def _ask(self, row: BoardRow, serial: str, verdict: Verdict) -> None:
        """Query a free board; for a board in use, read its lock file."""
        try:
            used_s = last_used_s(serial)
            with acquire(serial, test="hil boards", host=self._host) as lease:
                lease.leave_untouched()
                self._read_record(row, serial)
                if lease.killed_holder is not None and row.safe is not False:
                    killed = lease.killed_holder.test or lease.killed_holder.command
                    row.add_trouble("left as it was", f"{killed} was killed; hil safe {serial}")
                if verdict is Verdict.PRESENT:
                    self._read_board(row, serial, used_s)
        except BoardBusyError as error:
            holder = holder_of(lock_folder(), serial)
            row.state = "busy"
            row.safe = None
            row.name = row.name or read_record(lock_folder(), serial).name or None
            row.holder, row.since = (holder.name, holder.since) if holder else (error.why, None)
        except SpoiltFileError as error:
            self._read_record(row, serial)
            row.add_trouble("cannot be leased", f"{error.what}: {error.why}; {error.remedy}")
        except HilError as error:
            row.add_trouble("faulty", error.what)
        else:
            if (trouble := lock_file_problem(lock_folder(), serial)) is not None:
                row.add_trouble("lock spoilt", f"{trouble.what}: {trouble.why}; {trouble.remedy}")

    def _read_record(self, row: BoardRow, serial: str) -> None:
        record = read_record(lock_folder(), serial)
        row.safe = None if record.state is BoardState.UNKNOWN else not record.needs_safety
        row.position = _position(record, self._lab.wiring_of(serial).stick)
        if row.safe is False:
            attempt, left = record.last_attempt, record.abandoned or "its holder died"
            cause = attempt.why if attempt else f"{left}; hil safe {serial}"
            row.add_trouble("not left safe", record.trouble or cause)

    def _read_board(self, row: BoardRow, serial: str, used_s: float) -> None:
        with held_boards.any_board(), open_driver(self._host, serial, console=False) as board:
            board.power.unchanged_since(used_s)
            kept, is_on, reading = board.settings.read(), board.power.draws(), board.power.read()
        row.name = row.name or kept.name
        record_name(lock_folder(), board)
        row.tags = sorted(self._lab.tags_of(serial).union(kept.tag_list))
        row.watts = reading.watts
        row.power = "on" if is_on else "off"
        if self._lab.differing_sequences(serial, kept):
            row.add_trouble("other power sequences", f"hil settings apply --board {serial}")


def _position(record: BoardRecord, stick: Path | None) -> str:
    """Return the position of the stick: HOST if the host sees it, else the one in the record."""
    if stick is not None and stick.exists():
        return "host"
    on_record = record.position or _UNKNOWN
    return _UNKNOWN if stick is not None and on_record == "host" else on_record
