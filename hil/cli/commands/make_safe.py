"""The work of `hil safe`: make boards safe, and return the outcome for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.cli.board_context import current_lab, find_source
from hil.cli.result import Answer
from hil.dutlink.console.sanitize import sanitize_line
from hil.dutlink.discovery import GLANCE_S, list_boards, probe, serials_on
from hil.dutlink.timing import Deadline
from hil.errors import (
    BoardBusyError,
    BoardFaultError,
    HilError,
    SpoiltFileError,
    UntrustedFileError,
    UsageError,
    Verdict,
    tell_user,
)
from hil.lab.board_lookup import resolve_serial, several_boards
from hil.lab.config.lab import Lab
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import is_board_locked, lock_file_problem
from hil.lab.safe_state.attempt import make_safe_and_record
from hil.lab.safe_state.policy import STICK_TAKEN
from hil.lab.safe_state.record import BoardState, known_boards, read_record

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.discovery import ProbeResult
    from hil.lab.locks.wait_status import WaitStatus
    from hil.lab.safe_state.record import SafetyEvent

__all__ = ["SafeCommand"]

_MAY_ANSWER = (Verdict.PRESENT, Verdict.LOST, Verdict.BUSY)
_WHAT_IS_LEFT = {
    BoardState.IN_USE: "its last holder died",
    BoardState.UNSAFE: "its last holder could not make it safe",
    BoardState.UNKNOWN: "nothing is known of it",
}
_HARMLESS = ("safe", "absent", "left alone")


class SafeCommand:
    """Makes boards safe that are not in use.

    Args:
        boards: Value of `--boards`.
        wait_s: How long to wait in total for boards in use, and for each silent one, in seconds.

    Raises:
        UsageError: `boards` names no existing boards.
    """

    def __init__(self, boards: str, wait_s: float) -> None:
        source = find_source(
            boards,
            why_not_started="new boards are safe already",
            remedy="--boards usb, or --boards sim@PORT for running simulated boards",
        )
        self._host = source.host()
        self._safety = source.safety()
        self._wait_s = wait_s
        self._wait = Deadline(wait_s)
        self._lab = self._obeyed_lab()
        self._troubles: dict[str, str] = {}

    def make_one_safe(self, serial: str | None) -> dict[str, Any]:
        """Make one board safe; None means the only board.

        Raises:
            UnavailableError: The board is absent, may not be opened, or stayed in use.
            BoardFaultError: The board could not be made safe; its record says so.
            UsageError: There are several boards, and none was named.
        """
        named = resolve_serial(self._host, self._lab, serial) if serial else self._only()
        found = probe(self._host, named, GLANCE_S)
        if found.error is not None and (found.serial is None or found.verdict not in _MAY_ANSWER):
            raise found.error
        board = str(found.serial)
        if self._lab.leaves_alone(board):
            return self._left_alone(board)
        event = self._make_safe(board)
        if event.amps is None:
            raise BoardFaultError(
                f"board {board} could not be made safe",
                why=event.why,
                remedy=f"check cable, hub and supply, then: hil safe {board}",
                serial=board,
            )
        return self._safe(board, event)

    def make_one_safe_if_unsafe(self, serial: str) -> dict[str, Any]:
        """Make a board safe unless its record says that it is safe; skip a board in use.

        Raises:
            BoardFaultError: The board could not be made safe; its record says so.
        """
        board = resolve_serial(self._host, self._lab, serial)
        if self._lab.leaves_alone(board):
            return self._left_alone(board)
        try:
            with acquire(
                board,
                wait_s=self._wait.left_s,
                test="hil safe",
                on_wait=_tell_waiting,
                host=self._host,
            ) as lease:
                if not lease.record().needs_safety:
                    lease.leave_untouched()
                    return _row(board, "safe", None, "according to its record; nothing was done")
                safety = self._lab.safety_of(board, self._safety)
                unknown = lease.record().state is BoardState.UNKNOWN and safety.can_glance
                safety = safety.at_a_glance() if unknown else safety
                event = make_safe_and_record(lock_folder(), board, safety, lease=lease)
        except BoardBusyError as error:
            return _row(board, "busy", None, error.why)
        if event.amps is None:
            raise BoardFaultError(
                f"board {board} could not be made safe",
                why=event.why,
                remedy=f"hil safe {board}",
                serial=board,
            )
        return self._safe(board, event)

    def make_all_safe(self) -> Answer:
        """Make all boards of the host safe, and list absent ones that are not safe by their record."""
        seen = list_boards(self._host)
        rows = [self._outcome(result) for result in seen]
        there = {result.serial for result in seen}
        rows += [_row(serial, "absent", None, why) for serial, why in _left_unsafe() if serial not in there]
        return Answer(rows, int(any(row["outcome"] not in _HARMLESS for row in rows)))

    def _obeyed_lab(self) -> Lab:
        """Return the lab, or an empty one if the lab file is not trusted; then no DUT is left on."""
        try:
            return current_lab()
        except UntrustedFileError as error:
            tell_user(f"{_error_line(error)}; all boards are made safe without it")
            return Lab()

    def _only(self) -> str | None:
        serials = serials_on(self._host)
        if len(serials) > 1:
            error = several_boards(self._host, self._lab, serials)
            raise UsageError(error.what, why=error.why, remedy=f"hil safe {serials[0]}, or hil safe --all")
        return serials[0] if serials else None

    def _outcome(self, result: ProbeResult) -> dict[str, Any]:
        if result.serial is None or result.verdict not in _MAY_ANSWER:
            why = _error_line(result.error) if result.error else ""
            return _row(result.serial or f"at {result.location}", str(result.verdict), None, why)
        if self._lab.leaves_alone(result.serial):
            return self._left_alone(result.serial)
        try:
            event = self._make_safe(result.serial)
        except BoardBusyError as error:
            return _row(result.serial, "busy", None, error.why)
        except HilError as error:
            return _row(result.serial, "failed", None, _error_line(error))
        if event.amps is None:
            return _row(result.serial, "failed", None, event.why)
        return self._safe(result.serial, event)

    def _make_safe(self, serial: str) -> SafetyEvent:
        """Make a board safe under its lease, or without one if its lock file is damaged or cannot be made."""
        safety = self._lab.safety_of(serial, self._safety.within(self._wait_s))
        try:
            lease = acquire(
                serial,
                wait_s=self._wait.left_s,
                test="hil safe",
                on_wait=_tell_waiting,
                host=self._host,
                wait_option="--wait",
            )
        except SpoiltFileError as error:
            self._troubles[serial] = f"without a lease: {_error_line(error)}"
            return make_safe_and_record(lock_folder(), serial, safety)
        if (trouble := lock_file_problem(lock_folder(), serial)) is not None:
            self._troubles[serial] = _error_line(trouble)
        with lease:
            return make_safe_and_record(lock_folder(), serial, safety, lease=lease)

    def _safe(self, serial: str, event: SafetyEvent) -> dict[str, Any]:
        """Return the row of a safe board, with problems of its lock and the programs that lost its stick."""
        _, taken, from_whom = event.why.partition(STICK_TAKEN)
        told = filter(None, (self._troubles.get(serial, ""), sanitize_line(taken + from_whom)))
        return _row(serial, "safe", event.amps, "; ".join(told))

    def _left_alone(self, serial: str) -> dict[str, Any]:
        why = f"{self._lab.file} says so of place {self._lab.name_of(serial)}"
        return _row(serial, "left alone", None, why)


def _tell_waiting(waiting: WaitStatus) -> None:
    tell_user(f"waiting for {waiting}")


def _row(serial: str, outcome: str, amps: float | None, why: str = "") -> dict[str, Any]:
    return {"board": serial, "outcome": outcome, "amps": amps, "why": why}


def _error_line(error: HilError) -> str:
    return sanitize_line(f"{error.what}: {error.why}; {error.remedy}")


def _left_unsafe() -> list[tuple[str, str]]:
    """Return the boards that are not safe by their record and not in use, each with the record's text."""
    folder = lock_folder()
    unsafe = []
    for serial in known_boards(folder):
        record = read_record(folder, serial)
        if record.needs_safety and not _is_held(folder, serial):  # skip boards of a running run
            what = _WHAT_IS_LEFT[record.state]
            unsafe.append((serial, f"on record: {record.trouble or what}; its next holder makes it safe"))
    return unsafe


def _is_held(folder: Path, serial: str) -> bool:
    """Return True if a process holds an absent board; kill the stopped guard of a dead holder first.

    A board that no process has locked is not leased for this, since another process may want it now.
    """
    if not is_board_locked(folder, serial):
        return False
    try:
        acquire(serial, test="hil safe", folder=folder).release_untouched()
    except BoardBusyError:
        return True
    except SpoiltFileError:
        return False
    return False
