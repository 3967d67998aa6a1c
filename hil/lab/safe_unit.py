"""The systemd unit that makes a board safe when it comes back after its run died.

A guard looks some seconds for a board that was unplugged, and then leaves it to the board's record. The udev
rule starts this unit whenever a board is plugged in; it does nothing if the record says that the board was
left safe.

Sources: systemd.service(5), systemd.device(5).
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path

import hil
from hil.flash.permission import BOARD_GROUP
from hil.lab.file_below import has_folder_below, write_below
from hil.lab.trusted_path import owner_on_the_way
from hil.lab.unit_words import assignment, command_line

__all__ = ["UNIT_NAME", "has_group", "has_systemd", "install_unit", "unit_text"]

UNIT_NAME = "hil-safe@.service"

_FOLDER = "etc/systemd/system"
_UNIT_FOLDERS = ("usr/lib/systemd/system", "lib/systemd/system")
_LIMIT_S = 30.0


def unit_text(python: Path, user: str = "", groups: tuple[str, ...] = (), lock_folder: str = "") -> str:
    """Return the unit.

    Args:
        python: The interpreter that has hil; absolute.
        user: The user who runs it; empty: root.
        groups: Further groups of that user, such as the one that may open the boards.
        lock_folder: Where runs have their locks, if not in the machine's own folder.
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
    """Return True if the machine below `root` has systemd."""
    return any(has_folder_below(root, folder) for folder in _UNIT_FOLDERS)


def install_unit(root: Path = Path("/")) -> tuple[Path, str]:
    """Install the unit for this interpreter; harmless when repeated.

    It runs as the user who owns this installation of hil: root must not run what another user can change.

    Returns:
        The file, and why systemd does not know it yet; empty if it does, or if it does not run.

    Raises:
        OSError: The file may not be written.
    """
    user = _owner(Path(hil.__file__)) or _owner(Path(sys.executable))
    groups = (BOARD_GROUP,) if user and has_group(BOARD_GROUP) else ()
    text = unit_text(Path(sys.executable), user, groups, os.environ.get("HIL_LOCK_DIR", ""))
    file = write_below(root, f"{_FOLDER}/{UNIT_NAME}", text)
    return file, _reload() if root.samefile("/") and Path("/run/systemd/system").is_dir() else ""


def _reload() -> str:
    command = ("systemctl", "daemon-reload")
    try:
        subprocess.run(command, check=True, timeout=_LIMIT_S, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{' '.join(command)}: {error}"
    return ""


def _owner(path: Path) -> str:
    """Return who owns a file, or a folder above it; empty for root."""
    owner = owner_on_the_way(path)
    if owner == 0:
        return ""
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def has_group(name: str) -> bool:
    """Return True if this machine has a group of that name."""
    try:
        return bool(grp.getgrnam(name))
    except KeyError:
        return False
