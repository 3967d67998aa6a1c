"""The result of a command with a text for users or an exit status, and the error if a signal ended it."""

from __future__ import annotations

import math
import re
from typing import Any, Final, NamedTuple, TextIO

from hil.errors import HilError

__all__ = ["INTERRUPTED", "KILLED", "Answer", "InterruptionError", "fold", "room_of"]

KILLED = 128
"""Number that shells add to the signal that ended a program, for its exit status."""

INTERRUPTED = KILLED + 2
"""Exit status after Ctrl-C, which is signal 2."""


_UNBROKEN: Final = re.compile(
    r"[`'(]?(?:env|git|hil|kill|pip|pytest|python3?|sudo|systemctl|udevadm)(?= )"
    r"(?: \S*[^\s,;.:)](?=\s|$))*(?: \S+)?|\S+"
)
"""A command to paste, up to a punctuation mark, or a word, such as a path."""


def room_of(stream: TextIO) -> float:
    """Return the width of the terminal that a stream leads to; infinite if it is none."""
    if not stream.isatty():
        return math.inf
    import shutil  # noqa: PLC0415 - only at a terminal

    return shutil.get_terminal_size().columns


def fold(text: str, room: float) -> str:
    """Break long lines at blanks, but not within commands and paths; rows of tables stay as they are."""
    return text if room == math.inf else "\n".join(_fold_line(line, room) for line in text.split("\n"))


def _fold_line(line: str, room: float) -> str:
    said = line.lstrip(" ")
    if len(line) <= room or "  " in said:
        return line
    indent = " " * (len(line) - len(said) + 2)
    lines = [line[: len(line) - len(said)]]
    for piece in _UNBROKEN.findall(said):
        blank = " " if lines[-1].strip() else ""
        if blank and len(lines[-1]) + 1 + len(piece) > room:
            lines.append(indent + piece)
        else:
            lines[-1] += blank + piece
    return "\n".join(lines)


class Answer(NamedTuple):
    """Data to print, and the exit status.

    Attributes:
        value: Data for `--json`.
        status: Exit status: 0, or 1 if `value` reports a failure.
        text: Text for users in place of `value`, or None.
    """

    value: Any
    status: int = 0
    text: str | None = None


class InterruptionError(HilError):
    """A signal ended the command; `status` is its exit status."""

    status = INTERRUPTED
