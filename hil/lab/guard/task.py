"""The task of a guard, as plain data: a guard process gets it as JSON when it starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.lab.safe_state.policy import Safety

__all__ = ["GuardTask"]


@dataclass(frozen=True, slots=True)
class GuardTask:
    """All that a guard must know; it cannot ask its holder, who may be dead when the guard has to act.

    Attributes:
        serial: The board.
        lock_path: Its lock file; its record is in the same folder.
        safety: How to make the board safe.
        node: The descriptor of the board's own device node, locked; -1 if there is none.
        drivers: The descriptor of a pipe whose other end is open in the processes that may drive the board
            after the holder's death, until they have ended; -1 if there are none.
    """

    serial: str
    lock_path: Path
    safety: Safety
    node: int = -1
    drivers: int = -1

    def to_json(self) -> str:
        """Return the task as the guard gets it."""
        return json.dumps(
            {
                "serial": self.serial,
                "lock_path": str(self.lock_path.absolute()),
                "safety": self.safety.to_json(),
                "node": self.node,
                "drivers": self.drivers,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> GuardTask:
        """Return the task that `to_json` wrote, also that of another version of hil."""
        facts: dict[str, Any] = json.loads(text)
        safety = Safety.from_json(facts["safety"])
        numbers = {name: facts.get(name, -1) for name in ("node", "drivers")}
        return cls(facts["serial"], Path(facts["lock_path"]), safety, **numbers)
