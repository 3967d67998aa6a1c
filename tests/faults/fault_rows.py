"""Faults as a table: what pyusb, the tty and the stick raise, what we make of it, what a fresh look finds.

Every row was seen on Linux 6.1 with libusb 1.0.26, boards attached through the kernel's vhci_hcd. The same
table holds the simulated host to the same answers. `docs/faults.md` shows it; run this file to print it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil import errors
from hil.dutlink.translate import Source
from hil.errors import Verdict

if TYPE_CHECKING:
    from hil.errors import HilError

__all__ = ["STICK", "TTY", "USB", "FaultRow", "markdown"]


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault.

    Attributes:
        act: Name of the function in `usb_acts.py` or `node_acts.py` that provokes it.
        fault: What it is, in words.
        raised: The class's name; empty where nothing is raised.
        number: Its errno.
        libusb: libusb's code.
        source: What we say we were doing.
        ours: Our error.
        verdict: What a fresh look finds while the fault lasts.
        kernel_only: A simulated host has no such thing.
        later: Errno and libusb's code that the same fault has a moment later.
    """

    act: str
    fault: str
    raised: str
    number: int | None
    libusb: int | None
    source: Source
    ours: type[HilError] | None
    verdict: Verdict
    kernel_only: bool = False
    later: tuple[int, int | None] | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the row as the page shows it."""
        numbers = [self.number] + ([self.later[0]] if self.later else [])
        codes = [self.libusb] + ([self.later[1]] if self.later else [])
        return (
            self.fault,
            f"`{self.raised}`" if self.raised else "nothing",
            ", then ".join(f"{number} {errno.errorcode[number]}" for number in numbers if number is not None),
            ", then ".join(f"{code}" for code in codes if code is not None),
            f"`{self.ours.__name__}`" if self.ours else "",
            self.verdict.value,
            "kernel" if self.kernel_only else "both",
        )


_ERROR = "USBError"
_GONE = Verdict.ABSENT
_THERE = Verdict.PRESENT

USB = (
    FaultRow("stall", "any STALL", _ERROR, 32, -9, Source.USB, errors.RequestStalledError, _THERE),
    FaultRow(
        "silence",
        "no answer in time",
        "USBTimeoutError",
        110,
        -7,
        Source.USB,
        errors.BoardTimeoutError,
        Verdict.LOST,
    ),
    FaultRow(
        "pulled", "unplugged during a transfer", _ERROR, 19, -4, Source.USB, errors.BoardLostError, _GONE
    ),
    FaultRow(
        "old_handle",
        "an old handle after unplugging",
        _ERROR,
        19,
        -4,
        Source.USB,
        errors.BoardLostError,
        _GONE,
    ),
    FaultRow(
        "replugged", "an old handle after a replug", _ERROR, 19, -4, Source.USB, errors.BoardLostError, _THERE
    ),
    FaultRow(
        "reopened_at_once",
        "opened again in the moment of unplugging",
        _ERROR,
        5,
        -1,
        Source.USB_OPEN,
        errors.BoardAbsentError,
        _GONE,
        later=(19, -4),
    ),
    FaultRow(
        "reopened", "opened again when gone", _ERROR, 19, -4, Source.USB_OPEN, errors.BoardAbsentError, _GONE
    ),
    FaultRow(
        "reopened_replugged",
        "an old device opened after a replug",
        _ERROR,
        19,
        -4,
        Source.USB_OPEN,
        errors.BoardAbsentError,
        _THERE,
    ),
    FaultRow("line_error", "a line error", _ERROR, 5, -1, Source.USB, errors.TransferError, _THERE),
    FaultRow(
        "claimed",
        "an interface that a kernel driver holds",
        _ERROR,
        16,
        -6,
        Source.USB,
        errors.BoardBusyError,
        _THERE,
    ),
    FaultRow(
        "configured",
        "a configuration that a kernel driver uses",
        _ERROR,
        16,
        -6,
        Source.USB,
        errors.BoardBusyError,
        _THERE,
    ),
    FaultRow(
        "denied",
        "no permission: a transfer",
        _ERROR,
        13,
        -3,
        Source.USB,
        errors.BoardDeniedError,
        Verdict.DENIED,
    ),
    FaultRow(
        "denied_string",
        "no permission: a string descriptor",
        "ValueError",
        None,
        None,
        Source.USB_OPEN,
        errors.BoardDeniedError,
        Verdict.DENIED,
    ),
    FaultRow(
        "gone_string",
        "gone: a string descriptor",
        "ValueError",
        None,
        None,
        Source.USB_OPEN,
        errors.BoardDeniedError,
        _GONE,
    ),
    FaultRow(
        "denied_find",
        "no permission: `find(serial_number=...)`",
        "",
        None,
        None,
        Source.USB,
        None,
        Verdict.DENIED,
    ),
    FaultRow(
        "no_backend",
        "no libusb",
        "NoBackendError",
        None,
        None,
        Source.USB,
        errors.NoUsbBackendError,
        Verdict.NO_BACKEND,
    ),
    FaultRow("no_board", "no board: `find()`", "", None, None, Source.USB, None, _GONE),
)

TTY = (
    FaultRow("tty_read", "read, board unplugged", "", None, None, Source.TTY, errors.ConsoleLostError, _GONE),
    FaultRow(
        "tty_write", "write, board unplugged", "OSError", 5, None, Source.TTY, errors.ConsoleLostError, _GONE
    ),
    FaultRow(
        "tty_gone",
        "open, gone",
        "FileNotFoundError",
        2,
        None,
        Source.TTY_OPEN,
        errors.ConsoleMissingError,
        _GONE,
    ),
    FaultRow(
        "tty_denied",
        "open, not allowed",
        "PermissionError",
        13,
        None,
        Source.TTY_OPEN,
        errors.ConsoleDeniedError,
        Verdict.DENIED,
    ),
    FaultRow(
        "tty_locked",
        "lock, held by another",
        "BlockingIOError",
        11,
        None,
        Source.TTY_OPEN,
        errors.ConsoleBusyError,
        _THERE,
    ),
    FaultRow(
        "tty_exclusive",
        "open, held exclusively (TIOCEXCL)",
        "OSError",
        16,
        None,
        Source.TTY_OPEN,
        errors.ConsoleBusyError,
        Verdict.DENIED,
        kernel_only=True,
    ),
    FaultRow(
        "tty_shared", "a second open that is not exclusive", "", None, None, Source.TTY_OPEN, None, _THERE
    ),
    FaultRow(
        "pyserial_read",
        "pyserial: read, board unplugged",
        "SerialException",
        None,
        None,
        Source.TTY,
        errors.ConsoleLostError,
        _GONE,
        kernel_only=True,
    ),
    FaultRow(
        "pyserial_waiting",
        "pyserial: `in_waiting`, board unplugged",
        "OSError",
        5,
        None,
        Source.TTY,
        errors.ConsoleLostError,
        _GONE,
        kernel_only=True,
    ),
    FaultRow(
        "pyserial_locked",
        "pyserial: open, held exclusively",
        "SerialException",
        11,
        None,
        Source.TTY_OPEN,
        errors.ConsoleBusyError,
        _THERE,
        kernel_only=True,
    ),
    FaultRow(
        "pyserial_gone",
        "pyserial: open, gone",
        "SerialException",
        2,
        None,
        Source.TTY_OPEN,
        errors.ConsoleMissingError,
        _GONE,
        kernel_only=True,
    ),
)

STICK = (
    FaultRow(
        "stick_buffered",
        "position moved during a buffered write",
        "OSError",
        28,
        None,
        Source.STICK,
        errors.StickLostError,
        _THERE,
        kernel_only=True,
    ),
    FaultRow(
        "stick_direct",
        "position moved during an `O_DIRECT` write",
        "OSError",
        5,
        None,
        Source.STICK,
        errors.StickLostError,
        _THERE,
        kernel_only=True,
        later=(19, None),
    ),
    FaultRow(
        "stick_gone",
        "opened afterwards",
        "FileNotFoundError",
        2,
        None,
        Source.STICK,
        errors.StickLostError,
        _THERE,
    ),
    FaultRow(
        "stick_error",
        "a medium that errs, read",
        "OSError",
        61,
        None,
        Source.STICK,
        errors.StorageError,
        _THERE,
        kernel_only=True,
    ),
)

_HEAD = ("fault", "raised", "errno", "libusb", "our error", "a fresh look", "seen on")


def markdown(rows: tuple[FaultRow, ...]) -> str:
    """Return rows as a table for the page."""
    lines = [_HEAD, tuple("---" for _ in _HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells).replace("|  |", "| |") + " |" for cells in lines)


if __name__ == "__main__":
    print("\n\n".join(map(markdown, (USB, TTY, STICK))))  # noqa: T201 - to be pasted into the page
