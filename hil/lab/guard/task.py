"""The task of a guard, as plain data: a guard process gets it as JSON when it starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.lab.safe_state.policy import Safety

if TYPE_CHECKING:
    from hil.lab.locks.holder import Holder

__all__ = ["GuardTask"]


@dataclass(frozen=True, slots=True)
class GuardTask:
    """All that a guard must know; it cannot ask its holder, who may be dead when the guard has to act.

    Attributes:
        serial: The board.
        lock_path: Its lock file; its record is in the same folder.
        safety: How to make the board safe.
        pid: The holder's pid; 0 if it is not known.
        since: When the holder's lease began, as records write it.
        node: The descriptor of the board's own device node, locked; -1 if there is none.
        drivers: The descriptor of a pipe whose other end is open in the processes that may drive the board
            after the holder's death, until they have ended; -1 if there are none.
    """

    serial: str
    lock_path: Path
    safety: Safety
    pid: int = 0
    since: str = ""
    node: int = -1
    drivers: int = -1

    def to_json(self) -> str:
        """Return the task as the guard gets it."""
        return json.dumps(
            {
                "serial": self.serial,
                "lock_path": str(self.lock_path.absolute()),
                "safety": self.safety.to_json(),
                "pid": self.pid,
                "since": self.since,
                "node": self.node,
                "drivers": self.drivers,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> GuardTask:
        """Return the task that `to_json` wrote."""
        facts: dict[str, Any] = json.loads(text)
        safety = Safety.from_json(facts["safety"])
        path = Path(facts["lock_path"])
        descriptors = facts["node"], facts["drivers"]
        return cls(facts["serial"], path, safety, facts["pid"], facts["since"], *descriptors)

    def is_for(self, holder: Holder | None) -> bool:
        """Return True if `holder` has the lease of this task, or if the task does not name its holder."""
        return not self.pid or (holder is not None and (holder.pid, holder.since) == (self.pid, self.since))
