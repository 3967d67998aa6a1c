"""Everything that can go wrong, as one tree.

    HilError                         what happened, why, what to type next
    |-- UnavailableError             hardware cannot be used; carries a verdict
    |   |-- NoUsbBackendError        no_backend: libusb cannot be loaded
    |   |-- BoardAbsentError         absent (also a FileNotFoundError)
    |   |   `-- BoardInBootLoaderError
    |   |-- BoardDeniedError         denied (also a PermissionError)
    |   |-- BoardBusyError           busy
    |   `-- BoardLostError           lost: was there, is gone or silent
    |-- BoardFaultError              the board is there and did something wrong
    |   |-- RequestStalledError      it refused a request
    |   |-- BoardTimeoutError        it did not answer in time (also a TimeoutError)
    |   |-- TransferError            a line error on the way
    |   |-- BoardReplyError          it answered what no firmware says
    |   |-- TwinBoardsError          another board on the bus has its serial number; neither is used
    |   |-- BoardUnsafeError         it answers and cannot be made safe: its DUT may have power
    |   `-- FirmwareTooOldError
    |-- SettingError                 a value the board would cut or misread (also a ValueError)
    |   `-- SequenceError            a power sequence that does not parse
    |-- StorageError                 the stick
    |   |-- StickMissingError        did not appear in time
    |   |   `-- StickMovedError      a disk came at another socket than the one where the stick was learned
    |   |-- StickStayedError         did not go in time
    |   |-- StickAmbiguousError      more than one disk followed the mux
    |   |-- StickLostError           left the host while it was in use
    |   |-- StickInUseError          is mounted or open on the host, and is not pulled
    |   |-- ImageError               an image that is damaged, or does not fit
    |   |-- WrongDiskError           a disk is not proven to be the stick: nothing was written to it
    |   `-- FlashError               the image is not on the stick
    |-- ConsoleError
    |   |-- ConsoleMissingError      no tty (also a FileNotFoundError)
    |   |-- ConsoleDeniedError       may not be opened (also a PermissionError)
    |   |-- ConsoleBusyError         held by another process
    |   |-- ConsoleLostError         went away while it was open
    |   |-- ExpectError              what was awaited did not come
    |   |   `-- BootLoaderError      the DUT waits in its boot loader, not in a system
    |   `-- ShellError               the board's own shell gave no usable answer
    |-- LeaseEndedError              a board was used after its lease had ended: nothing was sent
    |-- NotLeasedError               a board was opened in a run that does not hold it for its test
    |-- GuardError                   no guard runs beside the holder of a board
    |-- UsageError                   an option or argument that cannot be understood
    |   |-- SpoiltFileError          what has a name in the lock folder cannot serve as that file
    |   `-- UntrustedFileError       a file that root does not obey, because other users decide what it says
    |-- UsbBlockedError              a no_hardware test touched USB
    |-- HistoryError                 what earlier runs found cannot be read or written
    |-- ReportError                  pages cannot be made
    `-- SimulatorError               the simulated board's process

Every error survives pickling, because xdist sends them between processes.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

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
]


class Verdict(enum.StrEnum):
    """Why hardware can or cannot be used; with `PRESENT` and `FAULTY` a test's own error stands."""

    NO_BACKEND = "no USB backend"
    ABSENT = "absent"
    DENIED = "denied"
    BUSY = "busy"
    LOST = "lost"
    FAULTY = "faulty"
    PRESENT = "present"


class HilError(Exception):
    """Something went wrong, told in three parts.

    Args:
        what: What happened, naming the hardware (a serial number, a path).
        why: The cause, as far as it is known; may be empty.
        remedy: What to do or type next; may be empty.
        errno: The system's error number, where one is the cause.
        serial: The board's serial number, where a board is concerned.
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
        return f"{self.what}{cause}{remedy}"

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
    """Hardware cannot be used; `verdict` says which of the five ways it is."""

    verdict: ClassVar[Verdict]


class NoUsbBackendError(UnavailableError):
    """libusb cannot be loaded, so no board can be looked for."""

    verdict = Verdict.NO_BACKEND


class BoardAbsentError(UnavailableError, FileNotFoundError):
    """No such board is on the bus."""

    verdict = Verdict.ABSENT


class BoardInBootLoaderError(BoardAbsentError):
    """The board is on the bus, but in its boot loader: it cannot run tests."""


class BoardDeniedError(UnavailableError, PermissionError):
    """The board is on the bus and may not be opened by this user."""

    verdict = Verdict.DENIED


class BoardBusyError(UnavailableError):
    """Somebody else holds the board (its lease, or an interface of it)."""

    verdict = Verdict.BUSY


class BoardLostError(UnavailableError):
    """The board was there and is gone, or no longer answers."""

    verdict = Verdict.LOST


class BoardFaultError(HilError):
    """The board is there, and something between it and us went wrong."""


class RequestStalledError(BoardFaultError):
    """The board refused a request with a STALL."""


class BoardTimeoutError(BoardFaultError, TimeoutError):
    """The board did not answer within the time limit of the request."""


class TransferError(BoardFaultError):
    """A transfer failed on the way, as line errors make it."""


class BoardReplyError(BoardFaultError):
    """The board answered something that its firmware never says."""


class TwinBoardsError(BoardFaultError):
    """Two boards on the bus have one serial number, so neither can be told from the other; none is used."""


class BoardUnsafeError(BoardFaultError):
    """The board answers and cannot be made safe, so no test may have it; its DUT may have power."""


class FirmwareTooOldError(BoardFaultError):
    """The board's firmware lacks what is asked of it."""


class SettingError(HilError, ValueError):
    """A value that the board would cut or misread; nothing was sent."""


class SequenceError(SettingError):
    """A power sequence that does not mean what it seems to; nothing was sent."""


class StorageError(HilError):
    """The storage stick, or its way to host or DUT."""


class StickMissingError(StorageError):
    """The stick's device node did not appear in time."""


class StickMovedError(StickMissingError):
    """A disk came at another socket than the one where the board's stick was learned to come."""


class StickStayedError(StorageError):
    """The stick's device node did not go in time."""


class StickAmbiguousError(StorageError):
    """More than one disk followed the mux, so none can be called the stick."""


class StickLostError(StorageError):
    """The stick left the host while it was in use."""


class StickInUseError(StorageError):
    """The stick is mounted or open on this host, so that it is not taken away."""


class ImageError(StorageError):
    """An image that is damaged, in no format that is known, or too large for the stick."""


class WrongDiskError(StorageError):
    """A disk is not proven to be the board's stick; the error says what was written before, if anything."""


class FlashError(StorageError):
    """The image is not on the stick as it should be; the stick is not handed to the DUT."""


class ConsoleError(HilError):
    """The DUT's console."""


class ConsoleMissingError(ConsoleError, FileNotFoundError):
    """There is no tty for the console."""


class ConsoleDeniedError(ConsoleError, PermissionError):
    """The console's tty may not be opened by this user."""


class ConsoleBusyError(ConsoleError):
    """Another process holds the console's tty."""


class ConsoleLostError(ConsoleError):
    """The console's tty went away while it was open."""


class ExpectError(ConsoleError):
    """What was awaited on the console did not come."""


class BootLoaderError(ExpectError):
    """The DUT waits at the prompt of its boot loader, which has no login."""


class ShellError(ConsoleError):
    """The board's own shell gave no usable answer."""


class LeaseEndedError(HilError):
    """A board was used through an object, or under a `hil lease`, whose lease has ended; nothing was sent."""


class NotLeasedError(HilError):
    """A test opened a board that its process does not hold; nothing was done to the board."""


class GuardError(HilError):
    """No guard runs beside the process that holds a board: killed, it would leave the DUT powered."""


class UsageError(HilError):
    """An option, a setting of a run or an argument that cannot be understood."""


class SpoiltFileError(UsageError):
    """What has the name of a lock or a record cannot serve as one; other boards are not concerned."""


class UntrustedFileError(UsageError):
    """Root does not obey a file or folder, because other users decide what is in it."""


class UsbBlockedError(HilError):
    """A test that is marked `no_hardware` reached for USB."""


class HistoryError(HilError):
    """The history of earlier runs cannot be read or written."""


class ReportError(HilError):
    """Pages cannot be made."""


class SimulatorError(HilError):
    """The simulated boards' process could not be started, reached or told something."""
