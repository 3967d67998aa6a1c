"""Explain why this user may not open a device node, and what to do: join its group, log in, install the rule.

The node's group shows whether udev applied the rule of `hil udev`. The group that Linux distributions give to
all disks is no sign of the rule, and no user should join it, because it opens every disk.
"""

from __future__ import annotations

import grp
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.login_name import login_name

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BOARD_GROUP", "INSTALL_RULE", "Denial", "explain_denied"]

BOARD_GROUP: Final = "plugdev"
"""The group in the udev rule that `hil udev` prints."""

INSTALL_RULE: Final = 'sudo "$(command -v hil)" udev --install'

_OF_ALL_DISKS = "disk"


class Denial(NamedTuple):
    """Why a node may not be opened, and the command to run next."""

    why: str
    remedy: str


def explain_denied(node: Path | None) -> Denial:
    """Return why this process may not open a node.

    Args:
        node: The device node; None if it is not known.
    """
    group = _group_of(node) if node is not None else None
    if group is not None and group.gr_name == _OF_ALL_DISKS:
        return Denial(
            f"{node} is for root and the group {_OF_ALL_DISKS}, which opens every disk",
            f"{INSTALL_RULE} opens this stick alone, by its USB socket; then again",
        )
    if group is None:
        return Denial(
            "no permission to open it",
            f"install the udev rule: {INSTALL_RULE}; hil doctor tells more",
        )
    user = login_name(os.geteuid()) or str(os.geteuid())
    if group.gr_gid in {*os.getgroups(), os.getegid()}:
        return Denial(
            f"{node} is for the group {group.gr_name}, {user} is in it, and the kernel refuses",
            "hil doctor; a container or a unit's sandbox may forbid device nodes",
        )
    if user in group.gr_mem:
        return Denial(
            f"{node} is for the group {group.gr_name}; {user} is in it, but this session is not",
            f"log in again, or: newgrp {group.gr_name}",
        )
    return Denial(
        f"{node} is for the group {group.gr_name}, and {user} is not in it",
        f"add yourself: sudo usermod -aG {group.gr_name} {user}, then log in again",
    )


def _group_of(node: Path) -> grp.struct_group | None:
    """Return the group that may use a node besides root, or None if there is none."""
    try:
        facts = node.stat()
        group = grp.getgrgid(facts.st_gid)
    except (OSError, KeyError):
        return None
    may_use = facts.st_mode & stat.S_IRGRP and facts.st_mode & stat.S_IWGRP
    return group if may_use and group.gr_gid != 0 else None
