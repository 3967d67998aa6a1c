"""Start a guard beside a lease that was just acquired, and make the board safe if it was not left so."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Never

from hil.errors import BoardLostError, BoardUnsafeError
from hil.lab.guard.guarded_lease import GuardedLease
from hil.lab.safe_state.attempt import try_make_safe, why_unsafe
from hil.lab.safe_state.record import BoardState, read_record

if TYPE_CHECKING:
    from hil.lab.locks.lease import Lease
    from hil.lab.safe_state.policy import Safety
    from hil.lab.safe_state.record import BoardRecord, SafetyEvent

__all__ = ["under_guard"]


def under_guard(  # noqa: PLR0913 - by keyword
    lease: Lease,
    safety: Safety,
    *,
    controller: int = 0,
    once: bool = False,
    drivers: int = -1,
    spare_stick: bool = False,
    wait_s: float = math.inf,
) -> GuardedLease:
    """Start a guard beside a lease that was just acquired, and make the board safe if it was not left so.

    Args:
        lease: The lease; it is released if this fails.
        safety: How to make the board safe.
        controller: Pid of the xdist controller that this process works for; the guard ends this process when
            the controller has ended. 0: none.
        once: Make one short attempt only to make a board safe that was not left so.
        drivers: A pipe to read whose other end is open in the processes that may drive the board after this
            one's death; the guard does not record the board as safe before they have ended. -1: none.
        spare_stick: Do nothing to a board without a record while a program of this host uses its stick; its
            state stays unknown. The caller checks the stick again after opening the board.
        wait_s: How long this process tries to make the board safe at most; the guard has its own patience.

    Raises:
        BoardLostError: The board was not left safe, and cannot be reached now.
        BoardUnsafeError: The board was not left safe, answers, and cannot be made safe now.
        UsageError: The record's file cannot be used.
        GuardError: No guard can run; nothing was done to the board.
    """
    try:
        found = lease.record()
        guarded = GuardedLease(lease, found, drivers)
        if safety.leaves_alone:
            return guarded
        guarded.start_guard(safety, controller)
    except BaseException:
        lease.release()
        raise
    is_unknown, safety = found.state is BoardState.UNKNOWN, safety.within(wait_s)
    try:
        if is_unknown and safety.can_glance:
            _make_unknown_board_safe(guarded, safety.at_a_glance(spare_stick=spare_stick))
        elif found.needs_safety and not is_unknown:
            why = why_unsafe(found, lease.killed_guards)
            _make_board_safe(guarded, safety.once() if once else safety, why)
    except BaseException:  # also Ctrl-C, in the midst of it: only the guard goes on
        (guarded.release_unused if is_unknown else guarded.abandon)()
        raise
    return guarded


def _make_board_safe(lease: GuardedLease, safety: Safety, why: str) -> None:
    event = try_make_safe(safety, lease.serial, why=why, by="next holder")
    done = read_record(lease.folder, lease.serial).with_event(event)
    if done.state is BoardState.UNSAFE:
        _refuse(lease, done, event)
    lease.mark_made_safe(done, event)


def _make_unknown_board_safe(lease: GuardedLease, safety: Safety) -> None:
    """Make a board without a record safe.

    The state of a board that cannot be reached stays unknown: opening it raises an error that says why.
    """
    event = try_make_safe(safety, lease.serial, why=why_unsafe(lease.found), by="next holder")
    done = lease.found.with_event(event)
    if done.state is BoardState.UNSAFE and (event.silent or event.faulty):
        _refuse(lease, done, event)
    if done.state is BoardState.SAFE:
        safe = done if event.was_on else replace(lease.found, state=BoardState.SAFE)
        lease.mark_made_safe(safe, event if event.was_on else None)


def _refuse(lease: GuardedLease, done: BoardRecord, event: SafetyEvent) -> Never:
    """Release a board that could not be made safe, and raise the error that says so."""
    lease.release_as(done)
    kind, first = (
        (BoardUnsafeError, "look at the board and what it powers")
        if event.faulty
        else (BoardLostError, "plug it in")
    )
    raise kind(
        f"board {lease.serial} was not left safe and cannot be made safe",
        why=event.why,
        remedy=f"{first}, then: hil safe {lease.serial}",
        serial=lease.serial,
    )
