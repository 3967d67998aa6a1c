"""Who holds a board or waits for one, as everybody on the machine may read it."""

from __future__ import annotations

import json
import os
import pwd
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from hil.dutlink.plain_text import plain_line

__all__ = ["Holder", "now"]

COMMAND_SIZE = 200
TEST_SIZE = 300


def now() -> str:
    """The time as records write it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name  # LOGNAME may be left over from somebody else
    except KeyError:  # no entry in the password database, as in containers
        return f"uid {os.geteuid()}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a board, as its lock file says it.

    Attributes:
        user: Login name.
        pid: Process id.
        command: The command line, shortened.
        since: UTC, ISO 8601, when it began to hold it.
        test: Node id of the test that runs, or what else it is held for.
    """

    user: str = field(default_factory=_user)
    pid: int = field(default_factory=os.getpid)
    command: str = field(default_factory=lambda: " ".join(sys.argv)[:COMMAND_SIZE])
    since: str = field(default_factory=now)
    test: str = ""

    def __str__(self) -> str:
        return f"held by {self.name} since {self.since}"

    @property
    def name(self) -> str:
        """Who it is and for what, without the time."""
        test = f" for {self.test}" if self.test else ""
        return f"{self.user} (pid {self.pid}, {self.command!r}){test}"

    def to_data(self) -> dict[str, Any]:
        """The record as plain data, each word cut to a size that leaves it one write."""
        return {**asdict(self), "command": self.command[:COMMAND_SIZE], "test": self.test[:TEST_SIZE]}

    @classmethod
    def from_data(cls, facts: Any) -> Holder | None:  # noqa: ANN401 - whatever somebody wrote
        """Read a record; None where it is none.

        Anybody may have written it: nothing is left in it that a terminal obeys.
        """
        try:
            words = {name: plain_line(str(facts[name])) for name in ("user", "command", "since", "test")}
            return cls(pid=int(facts["pid"]), **words)
        except (ValueError, TypeError, KeyError, OverflowError):
            return None

    def to_json(self) -> bytes:
        """The record as it is written into a lock file."""
        return json.dumps(self.to_data()).encode()

    @classmethod
    def from_json(cls, record: bytes) -> Holder | None:
        """Read a record; None where a lock file has none, or one that is only half written."""
        try:
            return cls.from_data(json.loads(record))
        except (ValueError, RecursionError):
            return None
