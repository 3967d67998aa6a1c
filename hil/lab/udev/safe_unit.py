"""The systemd unit that makes a board safe when it is plugged in again after its run died.

A guard looks for an unplugged board for some seconds, then records it as unsafe and ends. The udev rule
starts this unit whenever a board is plugged in; the unit does nothing if the record says that the board was
left safe.

Sources: systemd.service(5), systemd.device(5).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hil.distribution import PACKAGE
from hil.errors import UsageError
from hil.flash.disk.permission import BOARD_GROUP
from hil.lab.files.atomic_file import has_folder_below, write_below
from hil.lab.udev.unit_escapes import assignment, command_line

if TYPE_CHECKING:
    from hil.lab.files.system_root import SystemRoot

__all__ = ["UNIT_NAME", "has_systemd", "install_unit", "unit_text"]

UNIT_NAME = "hil-safe@.service"

_FOLDER = "etc/systemd/system"
_UNIT_FOLDERS = ("usr/lib/systemd/system", "lib/systemd/system")
_LIMIT_S = 30.0


def unit_text(python: Path, user: str = "", groups: tuple[str, ...] = (), lock_folder: str = "") -> str:
    """Return the unit file's content.

    Args:
        python: The absolute path of the interpreter that has hil.
        user: The user that the unit runs as; empty for root.
        groups: Further groups of that user, such as the one that may open the boards.
        lock_folder: The lock folder of runs; empty for the machine's own folder.
    """
    who = f"User={user}\n" if user else ""
    also = f"SupplementaryGroups={' '.join(groups)}\n" if groups else ""
    locks = f"Environment={assignment('HIL_LOCK_DIR', lock_folder)}\n" if lock_folder else ""
    return f"""\
# Makes a board safe that comes back after its run died; the udev rule starts it.
# Written by `hil udev --install`.
[Unit]
Description=Switch off what DUTLink board %i was left with, if its record says so
After=systemd-tmpfiles-setup.service

[Service]
Type=oneshot
{who}{also}{locks}ExecStart={command_line(str(python))} -m hil.cli.main safe --if-unsafe %i
# A board that works through a power sequence is waited for, and so is one that a process holds.
TimeoutStartSec=5min
"""


def has_systemd(root: Path = Path("/")) -> bool:
    """Return True if the system below `root` has systemd."""
    return any(has_folder_below(root, folder) for folder in _UNIT_FOLDERS)


def install_unit(system: SystemRoot, python: Path | None = None) -> tuple[Path, str]:
    """Install the unit; may be repeated.

    The unit runs as the user who owns that hil, or `python`, as far as its path exists: root must not run a
    program that another user can change. `hil doctor` checks the rest on the machine that runs the unit.

    Args:
        system: The system.
        python: The interpreter that has hil on that system, or will have it; None for this one.

    Returns:
        The file, and why systemd has not loaded it; empty if it has, or does not run.

    Raises:
        UsageError: The system has no hil at the path where this machine has it.
        OSError: The file cannot be written.
    """
    ours = Path(sys.executable), PACKAGE / "__init__.py"
    if python is None and not all(system.has_file(file) for file in ours):
        missing = next(file for file in ours if not system.has_file(file))
        raise UsageError(
            f"{system.path} has no {missing}",
            why="its unit would run this machine's hil, which the system does not have",
            remedy="name an interpreter that has hil there, or will have it: --python /usr/bin/python3",
        )
    user = next(filter(None, map(system.owner_of, (python,) if python else reversed(ours))), "")
    groups = (BOARD_GROUP,) if user and system.has_group(BOARD_GROUP) else ()
    text = unit_text(python or ours[0], user, groups, system.lock_folder)
    file = write_below(system.path, f"{_FOLDER}/{UNIT_NAME}", text)
    return file, _reload() if system.is_this_machine and Path("/run/systemd/system").is_dir() else ""


def _reload() -> str:
    command = ("systemctl", "daemon-reload")
    try:
        subprocess.run(command, check=True, timeout=_LIMIT_S, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{' '.join(command)}: {error}"
    return ""
