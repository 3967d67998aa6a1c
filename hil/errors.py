"""The errors of hil, as one tree.

    HilError                         what happened, why, what to do next
    |-- UnavailableError             hardware cannot be used; carries a verdict
    |   |-- NoUsbBackendError        no_backend: libusb cannot be loaded
    |   |-- BoardAbsentError         absent (also a FileNotFoundError)
    |   |   `-- BoardInBootLoaderError
    |   |-- BoardDeniedError         denied (also a PermissionError)
    |   |-- BoardBusyError           busy
    |   `-- BoardLostError           lost: left the bus, or no longer answers
    |-- BoardFaultError              the board is on the bus and misbehaved
    |   |-- RequestStalledError      it refused a request
    |   |-- BoardTimeoutError        it did not answer in time (also a TimeoutError)
    |   |-- TransferError            a line error in a transfer
    |   |-- BoardReplyError          its answer is none that the firmware gives
    |   |-- TwinBoardsError          another board on the bus has its serial number; neither is used
    |   |-- BoardUnsafeError         it answers and cannot be made safe: its DUT may have power
    |   `-- FirmwareTooOldError
    |-- SettingError                 a value that the board would truncate or misread (also a ValueError)
    |   `-- SequenceError            a power sequence that does not parse
    |-- StorageError                 the storage stick
    |   |-- StickMissingError        it did not appear in time
    |   |   `-- StickMovedError      a disk appeared at another USB socket than the stick's
    |   |-- StickStayedError         it did not leave the host in time
    |   |-- StickAmbiguousError      more than one disk followed the mux
    |   |-- StickLostError           it left the host while it was in use
    |   |-- StickInUseError          it is mounted or open on the host, and is not detached
    |   |-- ImageError               an image is damaged, or does not fit
    |   |-- WrongDiskError           a disk is not verified to be the stick: nothing was written to it
    |   `-- FlashError               the image is not on the stick
    |-- ConsoleError                 the DUT's console
    |   |-- ConsoleMissingError      it has no tty (also a FileNotFoundError)
    |   |-- ConsoleDeniedError       its tty may not be opened (also a PermissionError)
    |   |-- ConsoleBusyError         another process holds its tty
    |   |-- ConsoleLostError         its tty disappeared while it was open
    |   |-- ExpectError              the expected output did not come
    |   |   `-- BootLoaderError      the DUT waits in its boot loader, which has no login
    |   `-- ShellError               the board's own shell gave no usable answer
    |-- LeaseEndedError              a board was used after its lease had ended: nothing was sent
    |-- NotLeasedError               a test opened a board that its process does not hold
    |-- GuardError                   the holder of a board has no guard
    |-- UsageError                   an option or argument is wrong
    |   |-- SpoiltFileError          a lock or a record has the wrong file type or content
    |   `-- UntrustedFileError       other users can write a file that root would obey
    |-- UsbBlockedError              a no_hardware test used USB
    |-- ReplacedCodeError            a test replaced code of a probe, which therefore proves nothing
    |-- BrokenLimitError             a number that a test measured breaks its limit (also an AssertionError)
    |-- HistoryError                 the history cannot be read or written
    |-- ReportError                  a report cannot be written
    `-- SimulatorError               the simulator's process

Every error survives pickling, because xdist sends errors between processes.
"""

from __future__ import annotations

import enum
import re
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BoardAbsentError",
    "BoardBusyError",
    "BoardDeniedError",
    "BoardFaultError",
    "BoardInBootLoaderError",
    "BoardLostError",
    "BoardReplyError",
    "BoardTimeoutError",
    "BoardUnsafeError",
    "BootLoaderError",
    "BrokenLimitError",
    "ConsoleBusyError",
    "ConsoleDeniedError",
    "ConsoleError",
    "ConsoleLostError",
    "ConsoleMissingError",
    "ExpectError",
    "FirmwareTooOldError",
    "FlashError",
    "GuardError",
    "HilError",
    "HistoryError",
    "ImageError",
    "LeaseEndedError",
    "NoUsbBackendError",
    "NotLeasedError",
    "ReplacedCodeError",
    "ReportError",
    "RequestStalledError",
    "SequenceError",
    "SettingError",
    "ShellError",
    "SimulatorError",
    "SpoiltFileError",
    "StickAmbiguousError",
    "StickInUseError",
    "StickLostError",
    "StickMissingError",
    "StickMovedError",
    "StickStayedError",
    "StorageError",
    "TransferError",
    "TwinBoardsError",
    "UnavailableError",
    "UntrustedFileError",
    "UsageError",
    "UsbBlockedError",
    "Verdict",
    "WrongDiskError",
    "name_boards",
    "tell_user",
    "with_names",
]

_names: Final[dict[str, str]] = {}
"""The name that this process shows beside a board's serial number."""


def name_boards(serials: Mapping[str, str], *, of_places: bool = False) -> None:
    """Show these names beside serial numbers in every message of this process.

    Args:
        serials: The serial number of each board by its name.
        of_places: Whether the names are those of the lab file, which count more than `sim-1`.
    """
    for name, serial in serials.items():
        if of_places or serial not in _names:
            _names[serial] = name


def with_names(message: str) -> str:
    """Return a message in which `board 5a1c0e01` is `board sim-1 (5a1c0e01)`, if the board has a name."""
    if not _names:
        return message
    serials = "|".join(map(re.escape, _names))
    return re.sub(
        rf"(?<!-)\b([Bb]oards? )({serials})\b",
        lambda found: f"{found[1]}{_names[found[2]]} ({found[2]})",
        message,
    )


def tell_user(line: str) -> None:
    """Write a line for the user to standard error, with the names of boards."""
    sys.stderr.write(f"hil: {with_names(line)}\n")


class Verdict(enum.StrEnum):
    """Why hardware can or cannot be used; `PRESENT` and `FAULTY` do not change a test's own outcome."""

    NO_BACKEND = "no USB backend"
    ABSENT = "absent"
    DENIED = "denied"
    BUSY = "busy"
    LOST = "lost"
    FAULTY = "faulty"
    PRESENT = "present"


class HilError(Exception):
    """The base of all errors; its message has three parts: what, why, remedy.

    Args:
        what: What happened, with the name of the hardware (a serial number, a path).
        why: The cause; empty if not known.
        remedy: What to do next, such as a command; may be empty.
        errno: The system's error number, if one is the cause.
        serial: The board's serial number, if the error is about a board.
    """

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        remedy: str = "",
        errno: int | None = None,
        serial: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.serial = serial
        self.errno = errno

    def __str__(self) -> str:
        cause = f": {self.why}" if self.why else ""
        remedy = f"\n  try: {self.remedy}" if self.remedy else ""
        return with_names(f"{self.what}{cause}{remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {"why": self.why, "remedy": self.remedy, "errno": self.errno, "serial": self.serial}
        return _rebuild, (type(self), self.what, facts)

    def add_note(self, why: str) -> None:
        """Append to the cause."""
        self.why = "; ".join(filter(None, (self.why, why)))

    @property
    def parts(self) -> dict[str, str | int | None]:
        """The error as plain data, for `--json` and for the ledger."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "why": self.why,
            "remedy": self.remedy,
            "errno": self.errno,
            "serial": self.serial,
        }


def _rebuild(cls: type[HilError], what: str, facts: dict[str, Any]) -> HilError:
    return cls(what, **facts)


class UnavailableError(HilError):
    """Hardware cannot be used, for the reason in `verdict`."""

    verdict: ClassVar[Verdict]


class NoUsbBackendError(UnavailableError):
    """libusb cannot be loaded, so boards cannot be searched for."""

    verdict = Verdict.NO_BACKEND


class BoardAbsentError(UnavailableError, FileNotFoundError):
    """No such board is on the bus."""

    verdict = Verdict.ABSENT


class BoardInBootLoaderError(BoardAbsentError):
    """The board is on the bus, but in its boot loader (DFU mode): it cannot run tests."""


class BoardDeniedError(UnavailableError, PermissionError):
    """The board is on the bus, and this user may not open it."""

    verdict = Verdict.DENIED


class BoardBusyError(UnavailableError):
    """Another process holds the board: its lease, or one of its interfaces."""

    verdict = Verdict.BUSY


class BoardLostError(UnavailableError):
    """The board left the bus, or no longer answers."""

    verdict = Verdict.LOST


class BoardFaultError(HilError):
    """The board is on the bus, and communication with it failed."""


class RequestStalledError(BoardFaultError):
    """The board refused a request with a STALL."""


class BoardTimeoutError(BoardFaultError, TimeoutError):
    """The board did not answer within the time limit of the request."""


class TransferError(BoardFaultError):
    """A transfer failed because of a line error."""


class BoardReplyError(BoardFaultError):
    """The board's answer is none that its firmware gives."""


class TwinBoardsError(BoardFaultError):
    """Two boards on the bus have the same serial number and cannot be distinguished, so neither is used."""


class BoardUnsafeError(BoardFaultError):
    """The board answers and cannot be made safe, so no test may use it; its DUT may have power."""


class FirmwareTooOldError(BoardFaultError):
    """The board's firmware lacks a required function."""


class SettingError(HilError, ValueError):
    """The board would truncate or misread a value; nothing was sent."""


class SequenceError(SettingError):
    """The board would misread a power sequence; nothing was sent."""


class StorageError(HilError):
    """The storage stick, or its connection to host or DUT."""


class StickMissingError(StorageError):
    """The stick's device node did not appear in time."""


class StickMovedError(StickMissingError):
    """A disk appeared at another USB socket than the one that was learned for the board's stick."""


class StickStayedError(StorageError):
    """The stick's device node did not disappear in time."""


class StickAmbiguousError(StorageError):
    """More than one disk followed the mux, so the stick cannot be identified."""


class StickLostError(StorageError):
    """The stick left the host while it was in use."""


class StickInUseError(StorageError):
    """The stick is mounted or open on this host, so it is not detached."""


class ImageError(StorageError):
    """An image is damaged, of an unknown format, or too large for the stick."""


class WrongDiskError(StorageError):
    """A disk is not verified to be the board's stick; the error says what was written before, if anything."""


class FlashError(StorageError):
    """The stick does not hold the image, or is not verified to; it is not given to the DUT."""


class ConsoleError(HilError):
    """The DUT's console."""


class ConsoleMissingError(ConsoleError, FileNotFoundError):
    """The console has no tty."""


class ConsoleDeniedError(ConsoleError, PermissionError):
    """This user may not open the console's tty."""


class ConsoleBusyError(ConsoleError):
    """Another process holds the console's tty."""


class ConsoleLostError(ConsoleError):
    """The console's tty disappeared while it was open."""


class ExpectError(ConsoleError):
    """The expected console output did not come."""


class BootLoaderError(ExpectError):
    """The DUT waits at the prompt of its boot loader, which has no login."""


class ShellError(ConsoleError):
    """The board's own shell gave no usable answer."""


class LeaseEndedError(HilError):
    """A board was used after its lease had ended; nothing was sent."""


class NotLeasedError(HilError):
    """A test opened a board that its process does not hold; nothing was done to the board."""


class GuardError(HilError):
    """The process that holds a board has no guard, so its death would leave the DUT powered."""


class UsageError(HilError):
    """An option, a setting of a run or an argument is wrong."""


class SpoiltFileError(UsageError):
    """A lock or a record has the wrong file type or content; other boards are not affected."""


class UntrustedFileError(UsageError):
    """Root refuses a file or folder, because other users decide what is in it."""


class BrokenLimitError(HilError, AssertionError):
    """A number that a test measured is not within its limits."""


class UsbBlockedError(HilError):
    """A test that is marked `no_hardware` used USB."""


class ReplacedCodeError(HilError):
    """A test replaced code that a probe of a board runs, so the probe proves nothing."""


class HistoryError(HilError):
    """The history of earlier runs cannot be read or written."""


class ReportError(HilError):
    """A report cannot be written."""


class SimulatorError(HilError):
    """The simulator's process cannot be started or reached, or refused a command."""
