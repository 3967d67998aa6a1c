"""Facts about the machine that boards are plugged into, read below a root folder that tests can replace."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hil.login_name import login_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HostInfo", "Process", "clock_is_kept", "udev_test"]

_TIME_ERROR = 5
"""What adjtimex returns while no time service sets the clock (linux/timex.h)."""

_UDEV_LIMIT_S = 30.0
_TIMEX_BYTES = 256
"""More than the size of `struct timex`."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine.

    Attributes:
        pid: Its pid.
        name: The name of its command.
    """

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def udev_test(device: str) -> str:
    """Return what `udevadm test` prints about udev's rules for a device, or an empty string if it fails.

    This needs no permission, and does not change the device.
    """
    command = ("udevadm", "test", "--action=add", device)
    try:
        asked = subprocess.run(command, check=False, timeout=_UDEV_LIMIT_S, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return f"{asked.stdout}\n{asked.stderr}" if asked.returncode == 0 else ""


def clock_is_kept() -> bool | None:
    """Return True if a time service (NTP) sets this machine's clock; None if the kernel does not say."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # all zero: adjtimex changes nothing
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    return None if state < 0 else state != _TIME_ERROR


@dataclass(frozen=True, slots=True)
class HostInfo:
    """This machine, as far as boards depend on it.

    Attributes:
        has_boards: Whether the boards are plugged into this machine's USB; if not, its rules and drivers do
            not matter.
        root: The folder of `sys`, `proc`, `etc`, `run` and `usr`.
        user: The login name of this user.
        uid: The effective user id.
        gids: The groups of this session.
        now: Returns the seconds since 1970.
        clock_is_kept: Returns whether a time service sets the clock.
        udev_test: Returns how udev applies its rules to a device.
        free_bytes: Returns the free space of a folder's file system for this user.
    """

    has_boards: bool = True
    root: Path = Path("/")
    user: str = field(default_factory=lambda: login_name(os.geteuid()) or str(os.geteuid()))
    uid: int = field(default_factory=os.geteuid)
    gids: frozenset[int] = field(default_factory=lambda: frozenset({*os.getgroups(), os.getegid()}))
    now: Callable[[], float] = time.time
    clock_is_kept: Callable[[], bool | None] = clock_is_kept
    udev_test: Callable[[str], str] = udev_test
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free

    def text(self, path: str) -> str:
        """Return a file's text without white space around it, or an empty string if it cannot be read."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return ""

    def folders(self, path: str) -> list[Path]:
        """Return the entries of a folder, sorted; an empty list if it cannot be read."""
        try:
            return sorted((self.root / path).iterdir())
        except OSError:
            return []

    def processes(self) -> list[Process]:
        """Return the running processes."""
        pids = [entry.name for entry in self.folders("proc") if entry.name.isdecimal()]
        return [Process(int(pid), self.text(f"proc/{pid}/comm")) for pid in pids]
