"""What a guard does once the holder ended without a word: make the board safe, record it, let the lock go.

A board that stayed silent is free then, and not forgotten: see `lingering`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.lab.board_record import SafetyEvent, read_record, write_record
from hil.lab.holder import Holder
from hil.lab.lingering import linger
from hil.lab.lock_file import LockFile
from hil.lab.safety import Safety, attempt

__all__ = ["GuardTask", "work"]

HANG_S = 30.0
"""How much longer than the limit of its attempts a guard lets a hanging action be, before it gives up."""


@dataclass(frozen=True, slots=True)
class GuardTask:
    """What a guard must know, given to it when it starts: nobody may be left to ask.

    Attributes:
        serial: The board.
        lock_path: Its lock file; records are beside it.
        safety: How to make it safe.
    """

    serial: str
    lock_path: Path
    safety: Safety

    def to_json(self) -> str:
        """As the guard gets it, with the places where modules are found now."""
        python_path = [str(Path(entry).absolute()) for entry in sys.path]
        return json.dumps(
            {
                "serial": self.serial,
                "lock_path": str(self.lock_path.absolute()),
                "safety": self.safety.to_json(),
                "python_path": python_path,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> GuardTask:
        """The inverse of `to_json`, but for the places of modules."""
        facts: dict[str, Any] = json.loads(text)
        return cls(facts["serial"], Path(facts["lock_path"]), Safety.from_json(facts["safety"]))


def work(lock_descriptor: int, text: str) -> None:
    """Make the board safe and let its lock go; after a hang it ends the process to do so."""
    task = GuardTask.from_json(text)
    lock = LockFile(task.lock_path, lock_descriptor)
    holder = Holder.from_json(lock.read())
    lock.write(_as_holder(holder).to_json())
    why = f"{holder.name if holder else 'its holder'} ended without giving it back"
    watchdog = threading.Timer(task.safety.limit_s + HANG_S, _give_up, (task, lock, why))
    watchdog.daemon = True
    watchdog.start()
    event = attempt(task.safety, task.serial, why=why, by="guard")
    watchdog.cancel()
    _finish(task, lock, event)
    if event.silent:
        linger(task, why)


def _as_holder(dead: Holder | None) -> Holder:
    """What those who wait read meanwhile."""
    name = f"of {dead.user} (pid {dead.pid})" if dead else "of a run"
    return Holder(command=f"guard {name}: making the board safe", test=dead.test if dead else "")


def _give_up(task: GuardTask, lock: LockFile, why: str) -> None:
    _finish(task, lock, SafetyEvent.failed(f"{why}; {task.safety.action} hangs", "guard"))
    os._exit(1)


def _finish(task: GuardTask, lock: LockFile, event: SafetyEvent) -> None:
    folder = task.lock_path.parent
    try:
        write_record(folder, task.serial, read_record(folder, task.serial).with_event(event))
    finally:
        lock.unlock()
