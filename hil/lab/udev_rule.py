"""The udev rule that lets people open boards, and tells ModemManager to leave their consoles alone.

Where systemd is, a unit belongs to it (`hil.lab.safe_unit`).
"""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

from hil.errors import UsageError
from hil.lab.file_below import write_below
from hil.lab.safe_unit import has_systemd, install_unit

__all__ = ["INSTALL_RULE", "RULE_NAME", "install_rule", "rule_text"]

RULE_NAME = "60-dutlink.rules"
INSTALL_RULE = 'sudo "$(command -v hil)" udev --install'

_FOLDER = "etc/udev/rules.d"
_APPLY = (
    ("udevadm", "control", "--reload"),
    ("udevadm", "trigger", "--subsystem-match=usb", "--subsystem-match=tty"),
)
_LIMIT_S = 30.0


def rule_text() -> str:
    """Return the rule, as this version has it."""
    return resources.files("hil").joinpath(f"data/{RULE_NAME}").read_text("utf-8")


def install_rule(root: Path = Path("/")) -> tuple[list[Path], str]:
    """Install the rule, and its unit where systemd is, and apply them; harmless when repeated.

    Args:
        root: Of the machine, or of an image of one: nothing outside of it is written, wherever links in it
            lead, and udev is not told.

    Returns:
        The rule's file, the unit's after it, and why udev or systemd does not follow them yet; empty if they
        do.

    Raises:
        UsageError: The file may not be written, or a link is in its way.
    """
    try:
        file = write_below(root, f"{_FOLDER}/{RULE_NAME}", rule_text())
        unit, problem = install_unit(root) if has_systemd(root) else (None, "")
    except FileExistsError as error:
        what = f"{error.filename} is in the way of the rule, or of its unit"
        raise UsageError(what, why=str(error.strerror), remedy="remove it, if nothing needs it") from error
    except OSError as error:
        file, why = root / _FOLDER / RULE_NAME, f"{error.strerror}; the machine's rules are root's"
        raise UsageError(f"{file} cannot be written", why=why, remedy=INSTALL_RULE) from error
    if not root.samefile("/"):
        return [file, *([unit] if unit else [])], "the machine of that folder does, when it starts"
    return [file, *([unit] if unit else [])], _apply() or problem


def _apply() -> str:
    for command in _APPLY:
        try:
            subprocess.run(command, check=True, timeout=_LIMIT_S, capture_output=True, text=True)
        except FileNotFoundError:
            return "this machine has no udevadm; replug the board"
        except subprocess.CalledProcessError as error:
            return f"{' '.join(command)}: {error.stderr.strip() or error}; replug the board"
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} did not end within {_LIMIT_S:.0f} s; replug the board"
    return ""
