"""Describe the holder of a board, or a process that waits for one, to every user of the machine."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from hil.dutlink.console.sanitize import sanitize_line
from hil.login_name import login_name

__all__ = ["Holder", "format_duration", "text_field", "truncate", "utc_now"]

COMMAND_SIZE = 200
TEST_SIZE = 300
_SHOWN: Final = 60
"""The most characters of a test or a command in one line with its process."""

MOST_PID = 1 << 31
WORD_BYTES = 400
"""The most bytes of one word as JSON, where a letter may take twelve: one write holds all words."""


def utc_now() -> str:
    """Return the time as records write it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def format_duration(duration_s: float) -> str:
    """Return `12 s`, `5 min`, `3 h` or `2 d`."""
    amount, unit = duration_s, "s"
    for larger, times in (("min", 60), ("h", 60), ("d", 24)):
        if amount < 2 * times:
            break
        amount, unit = amount / times, larger
    return f"{amount:.0f} {unit}"


def text_field(facts: Any, name: str) -> str:  # noqa: ANN401 - whatever was written
    """Return a string of a parsed JSON object.

    Raises:
        KeyError: The object has no such name.
        TypeError: The value is no string, or `facts` is no object.
    """
    word = facts[name] if isinstance(facts, dict) else None
    if not isinstance(word, str):
        raise TypeError(f"{name} is no text")
    return word


def truncate(text: str, most_bytes: int) -> str:
    """Return the beginning of a text that takes at most `most_bytes` as JSON."""
    while len(json.dumps(text)) > most_bytes:
        text = text[: -max(1, len(text) // 16)]
    return text


def _user() -> str:
    return login_name(os.geteuid()) or f"uid {os.geteuid()}"  # LOGNAME may name another user


def _command() -> str:
    """Return the command line, or the name of an xdist worker, whose command line says nothing."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and sys.argv[:1] == ["-c"]:
        return f"pytest, worker {worker}"
    program = Path(sys.argv[0] if sys.argv else "")
    name = program.parent.name if program.name == "__main__.py" else program.name
    return " ".join((name, *sys.argv[1:]))[:COMMAND_SIZE]


class Holder(NamedTuple):
    """The holder of a board, as its lock file describes it.

    Attributes:
        user: Login name.
        pid: Process id.
        command: The command line, shortened.
        since: When its lease began; UTC, ISO 8601.
        test: Node id of the test that runs, or what else the board is used for.
    """

    user: str
    pid: int
    command: str
    since: str
    test: str = ""

    @classmethod
    def here(cls, test: str = "") -> Self:
        """Return this process as a holder from now on."""
        return cls(_user(), os.getpid(), _command(), utc_now(), test)

    def __str__(self) -> str:
        return f"held{self._held_for()} by {self.name}"

    @property
    def name(self) -> str:
        """The process and what it uses the board for, without the time."""
        use = self.test or self.command
        return f"{self.user} (pid {self.pid}, {use if len(use) <= _SHOWN else f'{use[: _SHOWN - 3]}...'})"

    def _held_for(self) -> str:
        try:
            held_s = (datetime.now(UTC) - datetime.fromisoformat(self.since)).total_seconds()
        except (TypeError, ValueError):  # whatever another user has written
            return ""
        return f" for {format_duration(held_s)}" if held_s >= 0 else ""

    def to_data(self) -> dict[str, Any]:
        """Return plain data, with each word cut so that one write holds it all."""
        sizes = {"command": COMMAND_SIZE, "test": TEST_SIZE}
        facts = self._asdict().items()
        return {
            name: truncate(value[: sizes.get(name)], WORD_BYTES) if isinstance(value, str) else value
            for name, value in facts
        }

    @classmethod
    def from_data(cls, facts: Any) -> Holder | None:  # noqa: ANN401 - whatever was written
        """Return the holder, or None if the data is incomplete or has a wrong type.

        Any user may have written it, so everything that a terminal obeys is removed.
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
        """Return the content of a lock file."""
        return json.dumps(self.to_data()).encode()

    @classmethod
    def from_json(cls, record: bytes) -> Holder | None:
        """Return the holder that a lock file names, or None if it is empty or half written."""
        try:
            return cls.from_data(json.loads(record))
        except (ValueError, RecursionError):
            return None
