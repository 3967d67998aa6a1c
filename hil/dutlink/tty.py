"""The console's tty: which it is, and opening it raw and for ourselves alone."""

from __future__ import annotations

import errno
import fcntl
import os
import termios
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.translate import Source, translate
from hil.errors import ConsoleMissingError

if TYPE_CHECKING:
    from hil.dutlink.wiring import Wiring

__all__ = ["Tty", "find_tty", "open_tty", "uart_of"]

UART_BAUD = 115200
"""The board's UART is fixed at it; another rate is accepted and ignored (firmware: main.rs)."""

_PTY_MAJORS = range(136, 144)


@dataclass(frozen=True, slots=True)
class Tty:
    """A tty that may be the console.

    Attributes:
        path: Its node.
        baud_rate: In baud.
        is_board: Whether it is the board's own port, with the board's shell behind it; otherwise it is a
            console of the DUT's own.
    """

    path: Path
    baud_rate: int = UART_BAUD
    is_board: bool = True


def uart_of(dev: Path, serial: str) -> Tty:
    """The board's own port, by the name that udev makes of manufacturer, product and serial number."""
    return Tty(dev / "serial" / "by-id" / f"usb-Red_Hat_Inc._Dutlink_{serial}-if00")


def find_tty(dev: Path, serial: str, usb_console: str, wiring: Wiring) -> Tty:
    """Tell which tty the console is.

    The wiring goes first, then the board's `usb_console` setting, then the board's own port. The setting is
    a path, a name in `serial/by-id`, or a part of the only name there that contains it.

    Raises:
        ConsoleMissingError: The setting fits several ttys.
    """
    if wiring.console is not None:
        return Tty(wiring.console, wiring.baud_rate, is_board=False)
    if usb_console:
        return Tty(_named(dev, usb_console), wiring.baud_rate, is_board=False)
    return uart_of(dev, serial)


def _named(dev: Path, name: str) -> Path:
    if name.startswith("/"):
        path = Path(name)
        return dev / path.relative_to("/dev") if path.is_relative_to("/dev") else path
    by_id = dev / "serial" / "by-id"
    exact = by_id / name
    if "/" in name or exact.exists() or not by_id.is_dir():
        return dev / name if "/" in name else exact
    fitting = sorted(entry.name for entry in by_id.iterdir() if name in entry.name)
    if len(fitting) > 1:
        raise ConsoleMissingError(
            f"the board's usb_console setting {name!r} fits several ttys",
            why=", ".join(fitting),
            remedy="store the whole name: settings.write(usb_console=...)",
            errno=errno.ENOENT,
        )
    return by_id / fitting[0] if fitting else exact


def open_tty(port: Tty, serial: str) -> int:
    """Open a tty raw and exclusively; returns a file descriptor that does not block.

    Raw comes before the first read: with the kernel's default ECHO the boot log would be sent back to the
    DUT. What waits in the tty already is kept.

    Raises:
        ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: As said.
    """
    what = f"the console {port.path} cannot be opened"
    try:
        descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _hold(descriptor)
            _make_raw(descriptor, port.baud_rate)
        except BaseException:
            os.close(descriptor)
            raise
    except (OSError, termios.error) as error:
        raise translate(error, Source.TTY_OPEN, what, serial=serial) from error
    return descriptor


def _hold(descriptor: int) -> None:
    """Lock it against those who ask, and (TIOCEXCL) against those who do not.

    A pseudo-terminal would stay exclusive after its holder was killed, since its other end keeps it alive.
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
