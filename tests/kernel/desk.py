"""A machine's users and its udev rules, changed for real: for the session's own virtual machine alone."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["INSIDER", "OUTSIDER", "add_users", "apply_rules", "rule_installed"]

INSIDER = "insider"
"""A user in the group of our udev rule."""

OUTSIDER = "outsider"
"""A user that is not."""

_RULES = Path("/etc/udev/rules.d")
_UNKNOWN_USER = 1


def add_users() -> None:
    """Make both, unless they are there."""
    for name, group in ((INSIDER, "plugdev"), (OUTSIDER, "users")):
        if subprocess.run(["id", name], check=False, capture_output=True).returncode == _UNKNOWN_USER:
            subprocess.run(["useradd", "--groups", group, name], check=True)


@contextmanager
def rule_installed(rule: Path) -> Iterator[None]:
    """Have a rule, applied the way its own first lines say; a node keeps the group until it is replugged."""
    installed = Path(shutil.copy(rule, _RULES))
    apply_rules()
    try:
        yield
    finally:
        installed.unlink()
        apply_rules()


def apply_rules() -> None:
    """Have udev read its rules, and apply them to what is there."""
    subprocess.run(["udevadm", "control", "--reload"], check=True)
    subprocess.run(["udevadm", "trigger"], check=True)
    subprocess.run(["udevadm", "settle", "--timeout=30"], check=True)
