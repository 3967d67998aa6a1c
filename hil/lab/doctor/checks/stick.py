"""Check whether the stick follows the mux: the only check that moves something, unless a DUT would notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import StickInUseError, StorageError
from hil.lab.doctor.finding import ok, problem_of, skipped
from hil.lab.guard.under_guard import under_guard

if TYPE_CHECKING:
    from hil.lab.doctor.context import BoardContext
    from hil.lab.doctor.finding import Finding, Findings

__all__ = ["stick_follows"]

_CHECK = "stick"


def stick_follows(context: BoardContext) -> Findings:
    """Turn the mux to the host and off again, and check that the stick follows; releases the lease."""
    reason = "--quick skips checks that move the mux" if context.doctor.quick else context.reason_to_skip
    reason = reason or _in_use(context)
    yield skipped(_CHECK, reason, board=context.serial) if reason else _turn_under_guard(context)


def _in_use(context: BoardContext) -> str:
    """Return which program of this host uses the stick, or a disk that may be it; empty if none is seen."""
    user = context.board.storage.user()
    return _why_left_alone(user) if user else ""


def _why_left_alone(user: str) -> str:
    return f"{user}, so the mux is not turned; hil storage off, when that has ended"


def _turn_under_guard(context: BoardContext) -> Finding:
    """Turn the mux under a guard, which detaches the stick if this process is killed."""
    safety = context.doctor.lab.safety_of(context.serial, context.doctor.safety)
    with under_guard(context.lease, safety) as lease:
        try:
            try:
                found = _turn(context)
            except StickInUseError:
                raise
            except StorageError as error:
                found = problem_of(_CHECK, error, fix=_fix(context), board=context.serial)
            context.board.storage.off()
        except StickInUseError as error:
            lease.release("host")
            return skipped(_CHECK, _why_left_alone(error.why), board=context.serial)
        return found


def _turn(context: BoardContext) -> Finding:
    storage = context.board.storage
    storage.off()
    storage.host()
    node = storage.wait_for_node()
    storage.off()
    storage.wait_until_gone()
    return ok(_CHECK, f"{node} comes and goes with the mux; it is detached now", board=context.serial)


def _fix(context: BoardContext) -> str:
    serial = context.serial
    if context.doctor.lab.wiring_of(serial).stick is not None:
        return f"hil enroll --board {serial}    (finds the disk that follows the mux)"
    return (
        f"plug a stick into the board, then: hil storage host --board {serial}; lsblk --output NAME,TRAN,SIZE"
        f"; after its cables were changed: hil storage learn --board {serial}"
    )
