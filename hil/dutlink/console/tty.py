"""Find the console's tty by its names in udev, open it raw and exclusively, and name its other users.

A name in `by-id` stays the same when a device is plugged in elsewhere. It is ambiguous if the device has no
serial number, or the same one as another device: udev gives the name to the device that came last.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import termios
import tty
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.usb.error_mapping import ErrorSource, translate
from hil.dutlink.usb.protocol import UsbId
from hil.errors import ConsoleBusyError, ConsoleMissingError
from hil.flash.disk.sysfs import usb_names_at
from hil.login_name import login_name

if TYPE_CHECKING:
    from hil.dutlink.wiring import Wiring

__all__ = ["Tty", "TtyUser", "find_tty", "open_tty", "serial_devices", "uart_name", "uart_of", "users_of"]

_BOARD_NAME = "usb-Red_Hat_Inc._Dutlink_"
_BOARD = (f"{UsbId.VENDOR:04x}", f"{UsbId.FIRMWARE:04x}")


def uart_name(serial: str) -> str:
    """Return udev's name of a board's own port in `by-id`."""
    return f"{_BOARD_NAME}{serial}-if00"


def serial_devices(dev: Path, sys: Path) -> dict[Path, bool]:
    """Return an unambiguous name of each serial device that udev names, and whether it is a board's own.

    Args:
        dev: The host's device folder.
        sys: The folder of the host's kernel for devices; a device that is not listed there keeps its first
            name in `by-id`.
    """
    by_node: dict[str, list[Path]] = {}
    for folder in ("by-id", "by-path"):
        for name in _entries(dev / "serial" / folder):
            by_node.setdefault(os.path.realpath(name), []).append(name)
    usb_names = {node: _usb_names(sys, os.path.basename(node)) for node in by_node}  # noqa: PTH119 - of a string
    found = {}
    for node, names in by_node.items():
        vendor, product, serial = usb_names[node][1]
        twins = {device for device, alike in usb_names.values() if device and alike == usb_names[node][1]}
        is_ambiguous = bool(vendor) and (not serial or len(twins) > 1)
        by_path = [name for name in names if name.parent.name == "by-path"]
        is_board = names[0].name.startswith(_BOARD_NAME) or (vendor, product) == _BOARD
        found[by_path[0] if is_ambiguous and by_path and not is_board else names[0]] = is_board
    return found


def _usb_names(sys: Path, tty: str) -> tuple[str, tuple[str, str, str]]:
    """Return a tty's USB device, and its vendor, product and serial number, or empty strings."""
    folder = (sys / "class" / "tty" / tty / "device").resolve()
    for device in (folder, *folder.parents):
        if (device / "idVendor").exists():
            return str(device), usb_names_at(device)
    return "", ("", "", "")


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


UART_BAUD = 115200
"""The only rate of the board's UART; another rate is accepted and ignored (firmware: main.rs)."""

_PTY_MAJORS = range(136, 144)
_SERIAL = re.compile(r"serial/by-(?:id|path)/[^/]+|tty(?:[A-Z][A-Za-z]{0,9}|mxc)[0-9]+")
"""Serial devices by name (Linux: Documentation/admin-guide/devices.txt); not the terminals tty0 to tty63."""


@dataclass(frozen=True, slots=True)
class Tty:
    """A tty that may be the console.

    Attributes:
        path: Its device node.
        baud_rate: Its baud rate.
        is_board: Whether it is the board's own port, where the board's shell is; otherwise it is a console of
            the DUT's own.
    """

    path: Path
    baud_rate: int = UART_BAUD
    is_board: bool = True


def uart_of(dev: Path, serial: str) -> Tty:
    """Return the tty of the board's own port."""
    return Tty(dev / "serial" / "by-id" / uart_name(serial))


def find_tty(dev: Path, serial: str, usb_console: str, wiring: Wiring) -> Tty:
    """Return the tty of the console: by the wiring, the board's `usb_console` setting, or its own port.

    The setting is a path of a serial device below `/dev`, a name in `serial/by-id`, or a part of exactly one
    name there.

    Raises:
        ConsoleMissingError: The setting fits several ttys, or does not name a serial device.
    """
    if wiring.console is not None:
        return Tty(wiring.console, wiring.baud_rate, is_board=False)
    if usb_console:
        return Tty(_named(dev, usb_console), wiring.baud_rate, is_board=False)
    return uart_of(dev, serial)


def _named(dev: Path, setting: str) -> Path:
    """Return the node that a board's `usb_console` setting names.

    Any user of the board may have written the setting, and to open a node can have effects: a watchdog
    starts, a tape rewinds. So a name that is not that of a serial device is refused before it is opened.
    """
    by_id = dev / "serial" / "by-id"
    name = setting.removeprefix("/dev/")
    if "/" not in setting and not _is_serial(dev, name):
        fitting = (
            sorted(entry.name for entry in by_id.iterdir() if name in entry.name) if by_id.is_dir() else []
        )
        if len(fitting) > 1 and name not in fitting:
            raise ConsoleMissingError(
                f"the board's usb_console setting {setting!r} fits several ttys",
                why=", ".join(fitting),
                remedy="store the whole name: settings.write(usb_console=...)",
                errno=errno.ENOENT,
            )
        name = f"serial/by-id/{fitting[0] if len(fitting) == 1 else name}"
    if not _is_serial(dev, name):
        raise ConsoleMissingError(
            f"the board's usb_console setting {setting!r} names no serial device",
            why="it may name one of /dev/serial/by-id, /dev/serial/by-path or /dev/tty..., and nothing else",
            remedy="store another one (hil settings), or name the console in the lab file, which you trust",
            errno=errno.ENOENT,
        )
    return dev / name


def _is_serial(dev: Path, name: str) -> bool:
    """Return True if a name below the device folder is one of a serial device, or a link to such a name."""
    if ".." in Path(name).parts:
        return False
    if _SERIAL.fullmatch(name):
        return True
    try:
        target = (dev / name).readlink()
    except OSError:
        return False
    return _SERIAL.fullmatch(str(target).removeprefix("/dev/")) is not None


def open_tty(port: Tty, serial: str) -> int:
    """Open a tty raw and exclusively, and return a non-blocking file descriptor.

    It is made raw before the first read: with the kernel's default ECHO the boot log would be sent back to
    the DUT. A tty that was never raw echoes already between its opening and that, so the udev rule makes it
    raw when the board is plugged in. Bytes that wait in the tty already are kept.

    Raises:
        ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: The tty cannot be opened.
    """
    what = f"the console {port.path} cannot be opened"
    try:
        descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _lock(descriptor)
            _make_raw(descriptor, port.baud_rate)
        except BaseException:
            os.close(descriptor)
            raise
    except (OSError, termios.error) as error:
        translated = translate(error, ErrorSource.TTY_OPEN, what, serial=serial, node=port.path)
        raise (
            _busy(translated, port.path) if isinstance(translated, ConsoleBusyError) else translated
        ) from error
    return descriptor


def _busy(translated: ConsoleBusyError, path: Path) -> ConsoleBusyError:
    """Add the processes that have the tty open to the error, if this user may see them."""
    users = users_of(path)
    if not users:
        return translated
    return ConsoleBusyError(
        translated.what,
        why=f"{', '.join(map(str, users))} holds it",
        remedy=f"end it: kill {' '.join(str(user.pid) for user in users)}",
        errno=translated.errno,
        serial=translated.serial,
    )


def _lock(descriptor: int) -> None:
    """Lock a tty against programs that check locks, and by TIOCEXCL against all others.

    TIOCEXCL is not set on a pseudo-terminal, which would stay exclusive after this process was killed, since
    its other end keeps it alive.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.major(os.fstat(descriptor).st_rdev) not in _PTY_MAJORS:
        fcntl.ioctl(descriptor, termios.TIOCEXCL)


def _make_raw(descriptor: int, baud_rate: int) -> None:
    tty.setraw(descriptor, termios.TCSANOW)
    attributes = termios.tcgetattr(descriptor)
    speed = getattr(termios, f"B{baud_rate}", termios.B115200)
    attributes[2] = (attributes[2] | termios.CLOCAL | termios.CREAD) & ~termios.CRTSCTS
    attributes[4] = attributes[5] = speed
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class TtyUser:
    """A process that has a tty open.

    Attributes:
        pid: Its process id.
        command: Its name in the kernel.
        user: The name of its user.
    """

    pid: int
    command: str
    user: str

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid}, of {self.user})"


def users_of(tty: Path, proc: Path = _PROC) -> list[TtyUser]:
    """Return the other processes that have a tty open (proc(5): fd); only root sees those of other users."""
    node = os.path.realpath(tty)
    pids = sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal())
    folders = {pid: proc / str(pid) for pid in pids if pid != os.getpid()}
    return [user for pid, one in folders.items() if _has_open(one, node) and (user := _user(pid, one))]


def _has_open(process: Path, node: str) -> bool:
    with suppress(OSError):  # the process belongs to another user, or has ended
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) == node:
                    return True
    return False


def _user(pid: int, folder: Path) -> TtyUser | None:
    try:
        command, uid = (folder / "comm").read_text(errors="replace").strip(), folder.stat().st_uid
    except OSError:
        return None
    return TtyUser(pid, command, login_name(uid) or str(uid))
