"""The udev rule that lets users open boards and their sticks, and keeps ModemManager from consoles.

A rule cannot recognize a stick by its names. It opens the disk at the USB socket where a board's stick was
seen to follow the mux (`hil.lab.stick_sockets`), and no other disk. On systems with systemd, a unit belongs
to the rule (`hil.lab.udev.safe_unit`).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hil.errors import UsageError
from hil.flash.disk.permission import BOARD_GROUP, INSTALL_RULE
from hil.lab.files.atomic_file import write_below
from hil.lab.files.system_root import SystemRoot
from hil.lab.stick_sockets import believed_sockets
from hil.lab.udev.safe_unit import has_systemd, install_unit

__all__ = [
    "INSTALL_RULE",
    "RULE_NAME",
    "Installed",
    "StickPlace",
    "install_rule",
    "is_this_version",
    "known_sticks",
    "rule_text",
    "unopened_sticks",
]

RULE_NAME = "60-dutlink.rules"

_FOLDER = "etc/udev/rules.d"
_APPLY = (
    ("udevadm", "control", "--reload"),
    ("udevadm", "trigger", "--subsystem-match=usb", "--subsystem-match=tty"),
    ("udevadm", "trigger", "--subsystem-match=block", "--property-match=ID_BUS=usb"),
)
_MAKE_GROUP = ("groupadd", "--system", BOARD_GROUP)
_LIMIT_S = 30.0
_STICKS = "# the sticks,"
_OF_BOARD = "# board "
_END = 'LABEL="dutlink_end"\n'
_OPENED = f"""\
GOTO="dutlink_end"

# a stick: whatever disk comes at its socket, and no other
LABEL="dutlink_stick"
MODE="0660", TAG+="uaccess", ENV{{UDISKS_IGNORE}}="1"
GROUP="{BOARD_GROUP}"

"""
_JUMP = 'GOTO="dutlink_stick"'
_SERIAL = re.compile(r"[0-9a-f]{8}")
_PLACE = re.compile(
    rf'{_OF_BOARD}([0-9a-f]{{8}})\n.* DEVPATH=="(/devices/[^"]*/([0-9.-]+))/\3:\*", {_JUMP}\n'
)


@dataclass(frozen=True, slots=True)
class StickPlace:
    """The USB socket of a board's stick.

    Attributes:
        board: The board's serial number.
        socket: The USB socket, as the kernel names it: `2-1.3`.
        path: The socket's device path below `/sys`, which includes the host controller: udev's DEVPATH.
    """

    board: str
    socket: str
    path: str

    def __str__(self) -> str:
        return f"USB socket {self.socket} (board {self.board})"

    @property
    def rule(self) -> str:
        """The lines that open any removable disk at this socket, but no disk of a hub there."""
        disk = 'SUBSYSTEM=="block", ENV{DEVTYPE}=="disk", ATTR{removable}=="1"'
        return f'{_OF_BOARD}{self.board}\n{disk}, DEVPATH=="{self.path}/{self.socket}:*", {_JUMP}\n'


@dataclass(frozen=True, slots=True)
class Installed:
    """What was installed.

    Attributes:
        rule: The rule's file.
        unit: The unit's file; None on a system without systemd.
        made_group: Whether the rule's group was made.
        problem: Why udev or systemd does not apply them yet; empty if they do.
    """

    rule: Path
    unit: Path | None
    made_group: bool
    problem: str


def rule_text(sticks: list[StickPlace] | tuple[StickPlace, ...] = ()) -> str:
    """Return this version's rule, which opens these sticks."""
    text = resources.files("hil").joinpath(f"data/{RULE_NAME}").read_text("utf-8")
    if not sticks:
        return text  # `udevadm verify` complains about an unused label
    lines = text.replace(_END, f"{_OPENED}{_END}").splitlines(keepends=True)
    after = 1 + next(number for number, line in enumerate(lines) if line.startswith(_STICKS))
    return "".join([*lines[:after], *(stick.rule for stick in sticks), *lines[after:]])


def is_this_version(text: str) -> bool:
    """Return True if a rule is this version's, with any sticks."""
    whole = f"{text.strip()}\n"
    return whole == rule_text(_sticks_of(whole))


def known_sticks(
    sys: Path = Path("/sys"),
    folder: Path | None = None,
    installed: Path = Path("/", _FOLDER, RULE_NAME),
) -> list[StickPlace]:
    """Return the sockets where this user, root and the caller of sudo saw sticks follow their boards' muxes.

    The list includes the sticks of other boards in the installed rule: what was seen is forgotten when the
    machine starts again.

    Args:
        sys: The kernel's folder of devices.
        folder: The lock folder; None for the machine's own folder.
        installed: The installed rule.
    """
    caller = os.environ.get("SUDO_UID", "")
    known = believed_sockets(int(caller) if caller.isdecimal() else 0, folder)
    places = [
        (serial, learned.socket, _device_path(sys, learned.socket))
        for serial, learned in known.items()
        if _SERIAL.fullmatch(serial)
    ]
    seen = [StickPlace(serial, socket, path) for serial, socket, path in places if path]
    before = [one for one in _sticks_in(installed) if one.board not in known]
    return sorted([*before, *seen], key=lambda one: one.board)


def unopened_sticks(
    sys: Path = Path("/sys"),
    folder: Path | None = None,
    installed: Path = Path("/", _FOLDER, RULE_NAME),
) -> list[StickPlace]:
    """Return the known sticks that the installed rule does not open; arguments as those of `known_sticks`."""
    opened = _sticks_in(installed)
    return [stick for stick in known_sticks(sys, folder, installed) if stick not in opened]


def _sticks_in(file: Path) -> list[StickPlace]:
    """Return the sticks that an installed rule opens."""
    try:
        return _sticks_of(file.read_text("utf-8"))
    except (OSError, UnicodeError):
        return []


def _sticks_of(text: str) -> list[StickPlace]:
    return [StickPlace(board, socket, path) for board, path, socket in _PLACE.findall(text)]


def _device_path(sys: Path, socket: str) -> str:
    """Return the device path of a USB socket, or an empty string if there is no such socket."""
    bus, _, ports = socket.partition("-")
    hub = f"{bus}-{ports.rpartition('.')[0]}" if "." in ports else f"usb{bus}"
    devices, root = sys / "bus/usb/devices", sys.resolve()
    for link, below in ((devices / socket, ""), (devices / hub, f"/{socket}")):
        if link.exists():
            return f"/{link.resolve().relative_to(root)}{below}"
    return ""


def install_rule(
    root: Path = Path("/"),
    sticks: list[StickPlace] | tuple[StickPlace, ...] = (),
    python: Path | None = None,
) -> Installed:
    """Install the rule, and its unit on a system with systemd, and apply them; may be repeated.

    Makes the rule's group on this machine if there is none; an image must have it.

    Args:
        root: The root folder of this machine, or of an image. For an image nothing outside of `root` is
            written, the image's users and groups count, and nothing is applied.
        sticks: The sticks that the rule opens.
        python: The interpreter that has hil on that system, or will have it; None for this one.

    Raises:
        UsageError: A file cannot be written, a link is in its place, or the image lacks the group or hil.
    """
    system = SystemRoot(root)
    if system.has_file(Path("/etc/group")) and not (system.is_this_machine or system.has_group(BOARD_GROUP)):
        raise UsageError(
            f"{root} has no group {BOARD_GROUP}",
            why="its udev could not resolve the group of the rule",
            remedy=f"sudo groupadd --root {shlex.quote(str(root.absolute()))} --system {BOARD_GROUP}",
        )
    made, no_group = _make_group(system)  # first: the unit names the group only if it exists
    try:
        unit, problem = install_unit(system, python) if has_systemd(root) else (None, "")
        file = write_below(root, f"{_FOLDER}/{RULE_NAME}", rule_text(sticks))
    except FileExistsError as error:
        what = f"{error.filename} is in the place of the rule or its unit"
        raise UsageError(what, why=str(error.strerror), remedy="remove it, if nothing needs it") from error
    except OSError as error:
        file, why = root / _FOLDER / RULE_NAME, f"{error.strerror}; only root may write the machine's rules"
        raise UsageError(f"{file} cannot be written", why=why, remedy=INSTALL_RULE) from error
    if not system.is_this_machine:
        return Installed(file, unit, made, "the machine of that folder applies them when it starts")
    return Installed(file, unit, made, no_group or _apply() or problem)


def _make_group(system: SystemRoot) -> tuple[bool, str]:
    """Make this machine's group unless it exists; return whether it was made, and why it could not be."""
    if not system.is_this_machine or system.has_group(BOARD_GROUP):
        return False, ""
    problem = _run(_MAKE_GROUP)
    return not problem, problem


def _apply() -> str:
    problems = (_run(command) for command in _APPLY)
    problem = next(filter(None, problems), "")
    return f"{problem}; replug the board" if problem else ""


def _run(command: tuple[str, ...]) -> str:
    """Run a command of the system; return what went wrong, or an empty string."""
    try:
        subprocess.run(command, check=True, timeout=_LIMIT_S, capture_output=True, text=True)
    except FileNotFoundError:
        return f"this machine has no {command[0]}"
    except subprocess.CalledProcessError as error:
        return f"{' '.join(command)}: {error.stderr.strip() or error}"
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} did not end within {_LIMIT_S:.0f} s"
    return ""
