"""The holder of a board, or a process that waits for one, as every user of the machine may read it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from hil.dutlink.console.sanitize import sanitize_line
from hil.login_name import login_name

__all__ = ["Holder", "cut", "now", "text_field"]

COMMAND_SIZE = 200
TEST_SIZE = 300
MOST_PID = 1 << 31
WORD_BYTES = 400
"""The most that one word takes as JSON, where a letter may become twelve bytes: all of them are one write."""


def now() -> str:
    """The time as records write it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def text_field(facts: Any, name: str) -> str:  # noqa: ANN401 - whatever was written
    """Return a text out of parsed JSON.

    Raises:
        KeyError: It is not there.
        TypeError: It is no text, or `facts` is no object.
    """
    word = facts[name] if isinstance(facts, dict) else None
    if not isinstance(word, str):
        raise TypeError(f"{name} is no text")
    return word


def cut(text: str, most_bytes: int) -> str:
    """Return as much of a text as takes `most_bytes` when it is written as JSON."""
    while len(json.dumps(text)) > most_bytes:
        text = text[: -max(1, len(text) // 16)]
    return text


def _user() -> str:
    return login_name(os.geteuid()) or f"uid {os.geteuid()}"  # LOGNAME may name another user


def _command() -> str:
    """Return the command line; a worker of xdist, whose own says nothing, by its name."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and sys.argv[:1] == ["-c"]:
        return f"pytest, worker {worker}"
    return " ".join(sys.argv)[:COMMAND_SIZE]


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a board, as its lock file names it.

    Attributes:
        user: Login name.
        pid: Process id.
        command: The command line, shortened.
        since: UTC, ISO 8601, when it began to hold it.
        test: Node id of the test that runs, or what else it is held for.
    """

    user: str = field(default_factory=_user)
    pid: int = field(default_factory=os.getpid)
    command: str = field(default_factory=_command)
    since: str = field(default_factory=now)
    test: str = ""

    def __str__(self) -> str:
        return f"held by {self.name} since {self.since}"

    @property
    def name(self) -> str:
        """The process and what it holds the board for, without the time."""
        test = f" for {self.test}" if self.test else ""
        return f"{self.user} (pid {self.pid}, {self.command!r}){test}"

    def to_data(self) -> dict[str, Any]:
        """The record as plain data, each word cut to a size that leaves it one write."""
        sizes = {"command": COMMAND_SIZE, "test": TEST_SIZE}
        facts = asdict(self).items()
        return {
            name: cut(value[: sizes.get(name)], WORD_BYTES) if isinstance(value, str) else value
            for name, value in facts
        }

    @classmethod
    def from_data(cls, facts: Any) -> Holder | None:  # noqa: ANN401 - whatever was written
        """Read a record; None where it is none, or not all of it has the right type.

        Any user may have written it: nothing is left in it that a terminal obeys.
        """
        try:
            words = {
                name: sanitize_line(text_field(facts, name)) for name in ("user", "command", "since", "test")
            }
            pid = facts["pid"]
        except (TypeError, KeyError):
            return None
        return cls(pid=pid, **words) if type(pid) is int and 0 <= pid <= MOST_PID else None

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
