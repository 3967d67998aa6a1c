"""Begins and ends the faults of a run, each at its point."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from hil.lab.locks.acquire import acquire
from tests.laws.lease_witness import lease_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hil.sim.simulator import ServedBoard
    from tests.laws.run_record import Record, Spell
    from tests.laws.suite_plan import Fault

_COUNTED = ("stall", "line_error")
_BUSY_LIMIT_S = 60.0


class FaultScript:
    """The faults of one run; all but `end` is called in the thread of the boards, and `end` in another one.

    Args:
        faults: What is to happen.
        boards: The boards.
        record: Is told what happened.
        locks: The run's folder of locks.
    """

    def __init__(
        self, faults: Sequence[Fault], boards: list[ServedBoard], record: Record, locks: Path
    ) -> None:
        self._pending = list(faults)
        self._boards = boards
        self._record = record
        self._locks = locks
        self._requests: Counter[str] = Counter()
        self._attempts: Counter[str] = Counter()
        self._spells: list[Spell] = []
        self._over = threading.Event()
        self._holders: list[threading.Thread] = []

    def reach(self, point: str) -> None:
        """Begin the faults of this point; each begins once."""
        due = [fault for fault in self._pending if fault.at == point]
        self._pending = [fault for fault in self._pending if fault.at != point]
        for fault in due:
            self._begin(fault)

    def told(self, what: str, facts: dict[str, Any]) -> int:
        """Hear what a process told; return how often an attempt was told, for tests that fail once."""
        name = str(facts.get("name") or facts.get("test", "")).rpartition("::")[2].partition("[")[0]
        place = facts["number"] if what == "step" else what
        self.reach(f"{name}:{place}")
        if what == "attempt":
            self._attempts[str(facts["name"])] += 1
        return self._attempts[str(facts.get("name"))]

    def request(self, serial: str) -> None:
        """Count a request, and end what was for so many requests."""
        for spell in self._spells:
            if spell.board == serial and spell.kind in _COUNTED and spell.ended_s is None:
                self._end_counted(spell)
        count = self._requests[serial]
        self._requests[serial] += 1
        index = [board.slot.serial for board in self._boards].index(serial)
        due = [fault for fault in self._pending if fault.at == f"request:{count}" and fault.board == index]
        self._pending = [fault for fault in self._pending if fault not in due]
        for fault in due:
            asyncio.get_running_loop().call_soon(self._begin, fault)

    def end(self) -> None:
        """Let go of what is held; nothing begins any more."""
        self._pending = []
        self._over.set()
        for holder in self._holders:
            holder.join()

    def _begin(self, fault: Fault) -> None:
        served = self._boards[fault.board]
        if fault.kind == "busy":
            self._hold(served.slot.serial, fault.lasts_s)
            return
        arguments = {"count": int(fault.lasts_s)} if fault.kind in _COUNTED else {}
        was_leased = self._is_used(served.slot.serial)
        served.faults.begin(fault.kind, arguments)
        spell = self._record.begin(fault.kind, served.slot.serial, was_leased=was_leased)
        self._spells.append(spell)
        if fault.kind == "unplug":
            self._plugged(served)
        if fault.kind not in _COUNTED and fault.lasts_s < _BUSY_LIMIT_S:
            asyncio.get_running_loop().call_later(fault.lasts_s, self._end, spell, served)

    def _is_used(self, serial: str) -> bool:
        """Return True if the process that holds a board's lease has done something with it."""
        lease = lease_of(self._locks, serial)
        sent = [one for one in self._record.requests if one.board == serial and not one.is_look]
        return lease is not None and bool(sent) and sent[-1].pid == lease.pid

    def _end(self, spell: Spell, served: ServedBoard) -> None:
        if self._over.is_set() or spell.ended_s is not None:
            return
        if spell.kind == "unplug":
            if not served.slot.plugged:
                served.faults.begin("replug", {})
                self._plugged(served)
        else:
            served.faults.begin(spell.kind, {"on": False})
        self._close(spell)
        if spell.kind == "unplug":
            others = [other for other in self._spells if other.kind == "unplug" and other.ended_s is None]
            for other in others:
                if other.board == spell.board:
                    self._close(other)

    def _end_counted(self, spell: Spell) -> None:
        faults = next(board.slot.path_faults for board in self._boards if board.slot.serial == spell.board)
        if not (faults.stalls if spell.kind == "stall" else faults.line_errors):
            self._close(spell)

    def _close(self, spell: Spell) -> None:
        spell.ended_s = asyncio.get_running_loop().time()
        self._record.next()

    def _plugged(self, served: ServedBoard) -> None:
        self._record.plugged_at.setdefault(served.slot.serial, []).append(self._record.next())

    def _hold(self, serial: str, lasts_s: float) -> None:
        """Hold a lease as another user would: one at the start at once, a later one when it is given up."""
        loop = asyncio.get_running_loop()

        def wait_and_hold() -> None:
            try:
                lease = acquire(serial, wait_s=_BUSY_LIMIT_S, test="another user's", folder=self._locks)
            except Exception:  # noqa: BLE001 - the run never gave it up; or the folder is gone
                return
            future = asyncio.run_coroutine_threadsafe(self._held(serial), loop)
            spell = future.result()
            self._over.wait(min(lasts_s, _BUSY_LIMIT_S))
            lease.release()
            loop.call_soon_threadsafe(self._close, spell)

        holder = threading.Thread(target=wait_and_hold, name=f"holder of {serial}", daemon=True)
        self._holders.append(holder)
        holder.start()

    async def _held(self, serial: str) -> Spell:
        spell = self._record.begin("busy", serial)
        self._spells.append(spell)
        return spell
