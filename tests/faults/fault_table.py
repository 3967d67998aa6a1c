"""Every fault that was measured: what is raised, what we make of it, what a new probe finds.

Seen on Linux 6.1 with libusb 1.0.26, boards attached through the kernel's vhci_hcd. The same table holds the
simulated host to the same answers. `docs/faults.md` shows it; run this file to print its tables.
"""

from __future__ import annotations

from hil import errors
from hil.dutlink.usb.error_mapping import ErrorSource as Source
from hil.errors import Verdict
from tests.faults.fault_row import FaultRow, Raised, markdown

__all__ = ["STICK", "TTY", "USB"]

_STALLED = Raised("USBError", 32, -9)
_LATE = Raised("USBTimeoutError", 110, -7)
_NO_DEVICE = Raised("USBError", 19, -4)
_IO_ERROR = Raised("USBError", 5, -1)
_BUSY = Raised("USBError", 16, -6)
_DENIED = Raised("USBError", 13, -3)
_NO_LANGID = Raised("ValueError")
_NO_BACKEND = Raised("NoBackendError")

_GONE = Verdict.ABSENT
_THERE = Verdict.PRESENT

USB = (
    FaultRow("stall", "any STALL", _STALLED, Source.USB, errors.RequestStalledError, _THERE),
    FaultRow("silence", "no answer in time", _LATE, Source.USB, errors.BoardTimeoutError, Verdict.LOST),
    FaultRow("pulled", "unplugged during a transfer", _NO_DEVICE, Source.USB, errors.BoardLostError, _GONE),
    FaultRow(
        "old_handle", "an old handle after unplugging", _NO_DEVICE, Source.USB, errors.BoardLostError, _GONE
    ),
    FaultRow(
        "replugged", "an old handle after a replug", _NO_DEVICE, Source.USB, errors.BoardLostError, _THERE
    ),
    FaultRow(
        "reopened_at_once",
        "opened again in the moment of unplugging",
        _IO_ERROR,
        Source.USB_OPEN,
        errors.BoardAbsentError,
        _GONE,
        later=(_NO_DEVICE,),
    ),
    FaultRow(
        "reopened", "opened again when gone", _NO_DEVICE, Source.USB_OPEN, errors.BoardAbsentError, _GONE
    ),
    FaultRow(
        "reopened_replugged",
        "an old device opened after a replug",
        _NO_DEVICE,
        Source.USB_OPEN,
        errors.BoardAbsentError,
        _THERE,
    ),
    FaultRow("line_error", "a line error", _IO_ERROR, Source.USB, errors.TransferError, _THERE),
    FaultRow(
        "claimed", "an interface that a kernel driver holds", _BUSY, Source.USB, errors.BoardBusyError, _THERE
    ),
    FaultRow(
        "configured",
        "a configuration that a kernel driver uses",
        _BUSY,
        Source.USB,
        errors.BoardBusyError,
        _THERE,
    ),
    FaultRow(
        "denied", "no permission: a transfer", _DENIED, Source.USB, errors.BoardDeniedError, Verdict.DENIED
    ),
    FaultRow(
        "denied_string",
        "no permission: a string descriptor",
        _NO_LANGID,
        Source.USB_OPEN,
        errors.BoardDeniedError,
        Verdict.DENIED,
    ),
    FaultRow(
        "gone_string",
        "gone: a string descriptor",
        _NO_LANGID,
        Source.USB_OPEN,
        errors.BoardDeniedError,
        _GONE,
    ),
    FaultRow(
        "denied_find", "no permission: `find(serial_number=...)`", None, Source.USB, None, Verdict.DENIED
    ),
    FaultRow(
        "no_backend", "no libusb", _NO_BACKEND, Source.USB, errors.NoUsbBackendError, Verdict.NO_BACKEND
    ),
    FaultRow("no_board", "no board: `find()`", None, Source.USB, None, _GONE),
)

TTY = (
    FaultRow("tty_read", "read, board unplugged", None, Source.TTY, errors.ConsoleLostError, _GONE),
    FaultRow(
        "tty_write",
        "write, board unplugged",
        Raised("OSError", 5),
        Source.TTY,
        errors.ConsoleLostError,
        _GONE,
    ),
    FaultRow(
        "tty_gone",
        "open, gone",
        Raised("FileNotFoundError", 2),
        Source.TTY_OPEN,
        errors.ConsoleMissingError,
        _GONE,
    ),
    FaultRow(
        "tty_denied",
        "open, not allowed",
        Raised("PermissionError", 13),
        Source.TTY_OPEN,
        errors.ConsoleDeniedError,
        Verdict.DENIED,
    ),
    FaultRow(
        "tty_locked",
        "lock, held by another",
        Raised("BlockingIOError", 11),
        Source.TTY_OPEN,
        errors.ConsoleBusyError,
        _THERE,
    ),
    FaultRow(
        "tty_exclusive",
        "open, held exclusively (TIOCEXCL)",
        Raised("OSError", 16),
        Source.TTY_OPEN,
        errors.ConsoleBusyError,
        Verdict.DENIED,
        kernel_only=True,
    ),
    FaultRow("tty_shared", "a second open that is not exclusive", None, Source.TTY_OPEN, None, _THERE),
    FaultRow(
        "pyserial_read",
        "pyserial: read, board unplugged",
        Raised("SerialException"),
        Source.TTY,
        errors.ConsoleLostError,
        _GONE,
        kernel_only=True,
    ),
    FaultRow(
        "pyserial_waiting",
        "pyserial: `in_waiting`, board unplugged",
        Raised("OSError", 5),
        Source.TTY,
        errors.ConsoleLostError,
        _GONE,
        kernel_only=True,
    ),
    FaultRow(
        "pyserial_locked",
        "pyserial: open, held exclusively",
        Raised("SerialException", 11),
        Source.TTY_OPEN,
        errors.ConsoleBusyError,
        _THERE,
        kernel_only=True,
    ),
    FaultRow(
        "pyserial_gone",
        "pyserial: open, gone",
        Raised("SerialException", 2),
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
        Raised("OSError", 28),
        Source.STICK,
        errors.StickLostError,
        _THERE,
        kernel_only=True,
    ),
    FaultRow(
        "stick_direct",
        "position moved during an `O_DIRECT` write",
        Raised("OSError", 5),
        Source.STICK,
        errors.StickLostError,
        _THERE,
        later=(Raised("OSError", 28), Raised("OSError", 19)),
        kernel_only=True,
    ),
    FaultRow(
        "stick_gone",
        "opened afterwards",
        Raised("FileNotFoundError", 2),
        Source.STICK,
        errors.StickLostError,
        _THERE,
    ),
    FaultRow(
        "stick_error",
        "a medium that errs, read",
        Raised("OSError", 61),
        Source.STICK,
        errors.StorageError,
        _THERE,
        kernel_only=True,
    ),
)

if __name__ == "__main__":
    print("\n\n".join(map(markdown, (USB, TTY, STICK))))  # noqa: T201 - to be pasted into the page
