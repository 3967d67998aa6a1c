"""Make a board safe, trying again until it works or the time is over, and record the result."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.dutlink.timing import Backoff
from hil.errors import (
    BoardAbsentError,
    BoardFaultError,
    BoardLostError,
    BoardTimeoutError,
    SimulatorError,
    SpoiltFileError,
    TransferError,
    UnavailableError,
    UsageError,
    Verdict,
)
from hil.lab.safe_state.policy import MadeSafe, resolve
from hil.lab.safe_state.record import BoardState, SafetyEvent, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.lab.locks.lease import Lease
    from hil.lab.safe_state.policy import Action, Safety
    from hil.lab.safe_state.record import BoardRecord

__all__ = ["make_safe_and_record", "try_make_safe", "why_unsafe"]

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 2.0

_SILENT = (BoardTimeoutError, TransferError)
"""Board faults in which the board answered nothing."""


def try_make_safe(safety: Safety, serial: str, *, why: str, by: str) -> SafetyEvent:
    """Make a board safe, trying until it works or `safety.limit_s` is over; a failure is in the event.

    Args:
        safety: How to make it safe.
        serial: The board.
        why: Why it has to be made safe, for the record.
        by: Who makes it safe: "guard", "next holder", or the name of a command.
    """
    try:
        resolve(safety.action)
    except UsageError as error:
        return SafetyEvent.failed(f"{why}; {error.what}: {error.why}", by)
    except Exception:  # noqa: BLE001, S110 - such as no memory to import it: each attempt tries again
        pass
    problem, silent, faulty, transient = "", False, False, False
    for spent_s in _tries(safety.limit_s):
        try:
            action: Action = resolve(safety.action)
            done = action(serial, policy=safety.policy, **safety.arguments)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the next attempt may work
            silent = isinstance(error, BoardLostError | BoardTimeoutError)
            faulty = isinstance(error, BoardFaultError) and not isinstance(error, _SILENT)
            transient = not isinstance(error, BoardAbsentError | SimulatorError)
            problem = f"{type(error).__name__}: {getattr(error, 'what', error)}"
            if _is_absent(error) and spent_s >= safety.absent_s:
                break
        else:
            made = done if isinstance(done, MadeSafe) else MadeSafe(done)
            told = "; ".join(filter(None, (why, made.remark)))
            return SafetyEvent.made_safe(told, by, made.amps, was_on=made.was_on)
    return SafetyEvent.failed(f"{why}; {problem}", by, silent=silent, faulty=faulty, transient=transient)


def make_safe_and_record(
    folder: Path, serial: str, safety: Safety, *, by: str = "hil safe", lease: Lease | None = None
) -> SafetyEvent:
    """Make a board safe and record it; for `hil safe`, which does not use the board afterwards.

    Args:
        folder: The folder of the record.
        serial: The board.
        safety: How to make it safe.
        by: Who makes it safe.
        lease: The board's lease; None if its lock file cannot be used.
    """
    found = lease.record() if lease else read_record(folder, serial)
    with suppress(SpoiltFileError):
        write_record(folder, serial, found.with_position(""))  # this process may be killed
    why = why_unsafe(found, lease.killed_guards if lease else ())
    event = try_make_safe(safety, serial, why=why, by=by)
    with suppress(SpoiltFileError):
        write_record(folder, serial, found.with_event(event))
    return event


def why_unsafe(found: BoardRecord, killed_guards: tuple[int, ...] = ()) -> str:
    """Return why a board with this record has to be made safe.

    Args:
        found: The record.
        killed_guards: See `Lease.killed_guards`.
    """
    if found.abandoned and killed_guards:
        name = found.holder.name if found.holder else "its holder"
        pids = ", ".join(map(str, killed_guards))
        return f"{name} ended; its guard (pid {pids}) was stopped, and was killed"
    if found.abandoned:
        return found.abandoned
    if found.state is BoardState.UNSAFE:
        return "an earlier attempt failed" if found.events else found.trouble or "its record cannot be read"
    if found.state is BoardState.UNKNOWN:
        return "this host had no record of it, so its DUT may have been on"
    return "asked for"


def _tries(limit_s: float) -> Iterator[float]:
    """Yield the seconds spent so far: once at once, then after each pause until `limit_s` is over."""
    began, backoff = time.monotonic(), Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
    spent_s = 0.0
    while spent_s <= limit_s:
        yield spent_s
        time.sleep(backoff.next())
        spent_s = time.monotonic() - began


def _is_absent(error: Exception) -> bool:
    """Return True if there is no board to talk to; a board that is only busy never causes such an error."""
    if isinstance(error, UnavailableError):
        return error.verdict in {Verdict.ABSENT, Verdict.NO_BACKEND}
    return isinstance(error, SimulatorError)
