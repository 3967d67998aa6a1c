"""Translate exceptions of pyusb, the tty and the stick into errors of `hil.errors`.

They are recognized by type and error number, never by text. Neither `usb` nor `serial` nor `termios` is
imported here: their exceptions can only occur once their module was imported. Each row of the tables was seen
on Linux with libusb.
"""

from __future__ import annotations

import enum
import errno
import sys
from typing import TYPE_CHECKING, NamedTuple

from hil.errors import (
    BoardAbsentError,
    BoardBusyError,
    BoardDeniedError,
    BoardLostError,
    BoardTimeoutError,
    ConsoleBusyError,
    ConsoleDeniedError,
    ConsoleLostError,
    ConsoleMissingError,
    HilError,
    NoUsbBackendError,
    RequestStalledError,
    StickLostError,
    StorageError,
    TransferError,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NO_BACKEND_REMEDY", "ErrorSource", "classify", "translate"]

NO_BACKEND_REMEDY = "install libusb (apt install libusb-1.0-0), or pip install libusb-package"


class ErrorSource(enum.Enum):
    """What was done when the exception was raised."""

    UNKNOWN = "somewhere"
    USB = "a transfer to an open board"
    USB_OPEN = "opening a board"
    TTY = "an open console"
    TTY_OPEN = "opening a console"
    STICK = "the storage stick"


class _Meaning(NamedTuple):
    kind: type[HilError]
    why: str = ""
    remedy: str = ""


_NO_BACKEND = _Meaning(NoUsbBackendError, "libusb cannot be loaded", NO_BACKEND_REMEDY)
_SILENT = _Meaning(
    BoardTimeoutError,
    "no answer in time",
    "wait if a power sequence is running (the board is silent until it ends), else replug the board",
)
_NO_STRINGS = _Meaning(BoardDeniedError, "its strings cannot be read: no permission, or gone")
_LINE = _Meaning(TransferError, "the transfer failed on the way", "check cable and hub, then try again")
_LOST = _Meaning(BoardLostError, "it left the bus", "plug it in again; its settings are kept")
_ABSENT = _Meaning(BoardAbsentError, "it left the bus", "plug it in again")
_TTY_LOST = _Meaning(ConsoleLostError, "the tty went away", "see whether the board is still plugged in")
_TTY_MISSING = _Meaning(ConsoleMissingError, "there is no such tty", "see whether the board is plugged in")
_TTY_DENIED = _Meaning(ConsoleDeniedError)
_TTY_BUSY = _Meaning(ConsoleBusyError, "another process holds it", "end it; fuser -v on the tty names it")
_STICK_LOST = _Meaning(StickLostError, "it left the host", "set the storage position to host and start again")

_USB: dict[int | None, _Meaning] = {
    errno.EPIPE: _Meaning(
        RequestStalledError,
        "it refused the request (STALL)",
        "compare firmware versions: it does not know this request or value",
    ),
    errno.ETIMEDOUT: _SILENT,
    errno.ENODEV: _LOST,
    errno.EIO: _LINE,
    errno.EACCES: _Meaning(BoardDeniedError),
    errno.EBUSY: _Meaning(
        BoardBusyError,
        "a driver or another program holds it",
        "end the other program; control requests themselves need no claim",
    ),
}
_USB_OPEN = _USB | {errno.EIO: _ABSENT, errno.ENODEV: _ABSENT, errno.ENOENT: _ABSENT}
_TTY: dict[int | None, _Meaning] = {
    None: _TTY_LOST,
    errno.EIO: _TTY_LOST,
    errno.ENXIO: _TTY_LOST,
    errno.ENODEV: _TTY_LOST,
    errno.ENOENT: _TTY_MISSING,
    errno.EACCES: _TTY_DENIED,
    errno.EPERM: _TTY_DENIED,
    errno.EAGAIN: _TTY_BUSY,
    errno.EBUSY: _TTY_BUSY,
}
_TTY_OPEN = _TTY | {errno.EIO: _TTY_MISSING, errno.ENXIO: _TTY_MISSING, errno.ENODEV: _TTY_MISSING}
_STICK: dict[int | None, _Meaning] = {
    errno.ENOSPC: _STICK_LOST,
    errno.EIO: _STICK_LOST,
    errno.ENOENT: _STICK_LOST,
    errno.ENODEV: _STICK_LOST,
    errno.ENXIO: _STICK_LOST,
    errno.ENOMEDIUM: _STICK_LOST,
    errno.EACCES: _Meaning(StorageError),
}
_UNKNOWN: dict[int | None, _Meaning] = {
    errno.ENOENT: _ABSENT,
    errno.ENODEV: _LOST,
    errno.ENXIO: _LOST,
    errno.EIO: _LOST,
    errno.ENOSPC: _STICK_LOST,
}
_TABLES = {
    ErrorSource.UNKNOWN: _UNKNOWN,
    ErrorSource.USB: _USB,
    ErrorSource.USB_OPEN: _USB_OPEN,
    ErrorSource.TTY: _TTY,
    ErrorSource.TTY_OPEN: _TTY_OPEN,
    ErrorSource.STICK: _STICK,
}
_OTHERWISE: dict[ErrorSource, type[HilError]] = {
    ErrorSource.USB: TransferError,
    ErrorSource.USB_OPEN: TransferError,
    ErrorSource.TTY: ConsoleLostError,
    ErrorSource.TTY_OPEN: ConsoleMissingError,
    ErrorSource.STICK: StorageError,
}


def classify(error: BaseException, source: ErrorSource = ErrorSource.UNKNOWN) -> type[HilError] | None:
    """Return the class of the error that an exception may be translated to, or None if it has no such class.

    Without a source, exceptions of pyusb and pyserial are recognized by their type, and a bare `OSError` by a
    number that hardware causes when it goes away. The class then proves nothing about the hardware: a missing
    data file raises the same `OSError` as a missing board.
    """
    if isinstance(error, HilError):
        return type(error)
    meaning = _meaning(error, source)
    return meaning.kind if meaning else None


def translate(
    error: BaseException,
    source: ErrorSource,
    what: str,
    *,
    serial: str | None = None,
    node: Path | None = None,
) -> HilError:
    """Return the error for a foreign exception; the caller raises it `from` the original.

    Args:
        error: The exception.
        source: What was done.
        what: The first sentence of the error, which names the hardware.
        serial: The board's serial number, if it is known.
        node: The device node, if it is known, to explain why this user may not open it.
    """
    if isinstance(error, HilError):
        return error
    number = _number(error)
    meaning = _meaning(error, source)
    if meaning is None:
        kind = _OTHERWISE.get(source, HilError)
        return kind(what, why=f"{type(error).__name__}: {error}", errno=number, serial=serial)
    why, remedy = meaning.why, meaning.remedy
    if not remedy and issubclass(meaning.kind, PermissionError | StorageError):
        from hil.flash.disk.permission import explain_denied  # noqa: PLC0415 - only after a refusal

        denial = explain_denied(node)
        why, remedy = why or denial.why, denial.remedy
    return meaning.kind(what, why=why, remedy=remedy, errno=number, serial=serial)


def _meaning(error: BaseException, source: ErrorSource) -> _Meaning | None:
    number = _number(error)
    if _is_from("usb.core", "NoBackendError", error):
        return _NO_BACKEND
    if _is_from("usb.core", "USBError", error):
        timed_out = _is_from("usb.core", "USBTimeoutError", error)
        table = _USB_OPEN if source is ErrorSource.USB_OPEN else _USB
        return _SILENT if timed_out else table.get(number, _LINE)
    if _is_from("serial", "SerialException", error):
        return (_TTY_OPEN if source is ErrorSource.TTY_OPEN else _TTY).get(number, _TTY_LOST)
    if isinstance(error, OSError) or _is_from("termios", "error", error):
        return _TABLES[source].get(number)
    return _NO_STRINGS if isinstance(error, ValueError) and _raised_by("usb.util", error) else None


def _number(error: BaseException) -> int | None:
    """Return the system's error number; termios has it in its arguments."""
    number = error.args[0] if _is_from("termios", "error", error) and error.args else None
    number = getattr(error, "errno", number)
    return number if isinstance(number, int) else None


def _is_from(module_name: str, class_name: str, error: BaseException) -> bool:
    """Return True if `error` is of a class of a module, which need not be loaded."""
    kind = getattr(sys.modules.get(module_name), class_name, None)
    return isinstance(kind, type) and isinstance(error, kind)


def _raised_by(module_name: str, error: BaseException) -> bool:
    """Return True if the innermost frame of the traceback belongs to that module.

    For a device without string descriptors pyusb raises a bare `ValueError`, which only its origin
    identifies.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == module_name
