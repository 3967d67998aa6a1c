"""Programs that tests start or write into other folders, and what the kernel says of their processes."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["has_ended", "parent_of", "processor_s", "program", "running", "stat_fields", "state_of"]


def program(beside: str, name: str) -> str:
    """Return the text of `programs/NAME.py` in the folder of a test module.

    Args:
        beside: The module's `__file__`.
        name: Without its suffix.
    """
    return Path(beside).with_name("programs").joinpath(f"{name}.py").read_text("utf-8")


@contextmanager
def running(command: Sequence[Any], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program, and kill it at the end of the block.

    `Popen` alone would wait for its end, and a failed assertion would hang. A test of how the program ends
    waits for that in the block.
    """
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def stat_fields(pid: int) -> list[str]:
    """Return the fields of `/proc/PID/stat` from the state on.

    Raises:
        OSError: There is no such process.
    """
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()


def state_of(pid: int) -> str:
    """Return the letter of a process's state; empty if there is no such process."""
    try:
        return stat_fields(pid)[0]
    except OSError:
        return ""


def has_ended(pid: int) -> bool:
    """Return True if there is no such process, or if it only waits to be reaped."""
    return state_of(pid) in {"", "Z", "X"}


def parent_of(pid: int) -> int:
    """Return the process id of a process's parent; raises OSError."""
    return int(stat_fields(pid)[1])


def processor_s(pid: int) -> float:
    """Return the processor time of a process, also of a zombie; raises OSError."""
    user, system = stat_fields(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
