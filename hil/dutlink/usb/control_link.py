"""Control transfers to one board, with time limits that know about power sequences.

The one module that imports pyusb to drive a board, and only when a board is first looked for.

While a power sequence waits, the board answers nothing: it waits inside its USB interrupt (firmware: main.rs,
ctlpins.rs). A link remembers how long the sequence that *it* started lasts, and lets the next request wait.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from hil.dutlink.power.sequence_timing import CLOCK_MARGIN
from hil.dutlink.timing import Deadline, hold
from hil.dutlink.usb.access import Access
from hil.dutlink.usb.error_mapping import NO_BACKEND_REMEDY, Source, classify, translate
from hil.dutlink.usb.protocol import (
    MOST_DATA_BYTES,
    REPLY_SIZE,
    VENDOR_IN,
    VENDOR_OUT,
    ConfigKey,
    ReadKey,
    Request,
    UsbId,
)
from hil.dutlink.usb.request_count import count_asked, note_error
from hil.dutlink.usb.request_log import OK, LastRequests
from hil.errors import (
    BoardFaultError,
    BoardLostError,
    BoardTimeoutError,
    HilError,
    LeaseEndedError,
    NoUsbBackendError,
    SettingError,
    TransferError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from hil.dutlink.host import Host

__all__ = [
    "FOREIGN",
    "REQUEST_LIMIT_S",
    "Device",
    "Link",
    "backend_of",
    "import_pyusb",
    "let_go",
    "usb_devices",
]

REQUEST_LIMIT_S = 2.0
"""Seconds for one request to a board that is not busy; erasing the settings' flash takes most of one."""

FOREIGN = (OSError, ValueError, NotImplementedError)
"""What pyusb raises: `USBError` is an `OSError`, the rest are bare."""

Device: TypeAlias = Any  # pyusb ships no types
Backend: TypeAlias = Any

_SLICE_S = 10.0
_PAUSE_S = 0.1
_GLANCE_S = 0.25
_backends: dict[tuple[int, int], tuple[Host, Backend]] = {}


def backend_of(host: Host) -> Backend:
    """Return the host's pyusb backend, made once in each process.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
    """
    key = (os.getpid(), id(host.backend))
    if key not in _backends:
        _backends[key] = (host, _load_backend(host))
    return _backends[key][1]


def import_pyusb() -> None:
    """Import pyusb without loading libusb, for a process that may need it after it was uninstalled.

    Raises:
        ImportError: It is not installed.
    """
    for name in ("usb.core", "usb.util", "usb.backend.libusb1"):
        importlib.import_module(name)


def _load_backend(host: Host) -> Backend:
    try:
        backend = host.backend() if host.backend else _system_libusb() or _packaged_libusb()
    except (ImportError, *FOREIGN) as error:
        raise _no_backend(host, str(error)) from error
    if backend is None:
        raise _no_backend(host, "neither the system's libusb nor libusb-package's can be loaded")
    return backend


def _system_libusb() -> Backend:
    return importlib.import_module("usb.backend.libusb1").get_backend()


def _packaged_libusb() -> Backend:
    """libusb-package's own library, which knows no udev: second choice."""
    return importlib.import_module("libusb_package").get_libusb1_backend()


def _no_backend(host: Host, why: str) -> NoUsbBackendError:
    return NoUsbBackendError(f"{host.label} has no USB backend", why=why, remedy=NO_BACKEND_REMEDY)


def usb_devices(host: Host) -> list[Device]:
    """Return pyusb's devices with a board's vendor id, or the chip's; opens none of them.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
        TransferError: The bus cannot be listed.
    """
    backend = backend_of(host)
    core = importlib.import_module("usb.core")
    wanted = (UsbId.VENDOR, UsbId.CHIP_VENDOR)
    try:
        return list(core.find(find_all=True, backend=backend, custom_match=lambda d: d.idVendor in wanted))
    except FOREIGN as error:
        raise translate(error, Source.USB, f"{host.label}: boards cannot be looked for") from error


def let_go(device: Device) -> None:
    """Close the handle that pyusb opened for a device; it opens a new one when the device is used again.

    A device that is gone cannot be closed any worse: nobody is told.
    """
    with suppress(*FOREIGN):
        importlib.import_module("usb.util").dispose_resources(device)


class Link:
    """An open board, as far as control requests go. Safe to use from several threads.

    No interface is claimed: vendor requests work beside the kernel's cdc_acm.

    Args:
        device: pyusb's device.
        interface: Number of the control interface, for `wIndex`.
        serial: The board's serial number, for errors.

    Attributes:
        requests: The last requests, for failure reports.
        access: Permission to use the board, which every request asks for.
    """

    def __init__(self, device: Device, interface: int, serial: str) -> None:
        self.serial = serial
        self.requests = LastRequests()
        self.access = Access(serial)
        self._device = device
        self._interface = interface
        self._busy_until: float | None = None
        self._turn = threading.RLock()

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Held while requests must follow each other with none of another thread's between."""
        return self._turn

    @property
    def place(self) -> str:
        """The USB port of the board, as the kernel names it (`1-2.3`); empty if not known."""
        try:
            return f"{self._device.bus}-{'.'.join(map(str, self._device.port_numbers))}"
        except (*FOREIGN, AttributeError, TypeError):
            return ""

    def send(self, request: Request, value: int = 0, data: bytes = b"") -> None:
        """Send a request; the answer means accepted, the work is done right after.

        Raises:
            SettingError: The data would stop the board's USB; nothing was sent.
            BoardFaultError: Refused, silent, or failed on the way.
            BoardLostError: The board is gone.
        """
        with self._turn, self._noting_errors():
            self.wait_out_sequence()
            self._transfer(VENDOR_OUT, request, value, data, REQUEST_LIMIT_S)

    def ask(self, request: Request, value: int) -> bytes:
        """Send a request that has a reply, and return the reply; raises what `send` raises."""
        with self._turn, self._noting_errors():
            self.wait_out_sequence()
            return self._transfer(VENDOR_IN, request, value, REPLY_SIZE, REQUEST_LIMIT_S)

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        """Note an error of a request's block, so that a run can tell one that a test caught."""
        try:
            yield
        except (BoardFaultError, BoardLostError) as error:
            note_error(self.serial, error)
            raise

    def ask_fresh(self, *questions: tuple[Request, int]) -> list[bytes]:
        """Have the board take a snapshot, then ask: replies always come from the last snapshot."""
        with self._turn:
            self.send(Request.REFRESH)
            return [self.ask(request, value) for request, value in questions]

    def ask_at_once(self, request: Request, value: int, limit_s: float) -> bytes | None:
        """As `ask_fresh`, of a board that answers now; None: it is at work, or another thread asks it.

        Whatever goes wrong is None, too: who asks again with more time is told.

        Args:
            request: What is asked.
            value: Its `wValue`.
            limit_s: How long the snapshot may take, and the answer again.
        """
        if not self._turn.acquire(blocking=False):
            return None
        try:
            if self._busy_until is not None:
                return None
            self._transfer(VENDOR_OUT, Request.REFRESH, 0, b"", limit_s)
            return self._transfer(VENDOR_IN, request, value, REPLY_SIZE, limit_s)
        except HilError:
            return None
        finally:
            self._turn.release()

    def is_reachable(self) -> bool:
        """Return True unless the device that was opened has left the bus, even if it is busy or silent."""
        if self._busy_until is not None or not self._turn.acquire(blocking=False):
            return True
        try:
            self._control(VENDOR_IN, Request.READ, ReadKey.VERSION, REPLY_SIZE, _GLANCE_S)
        except LeaseEndedError:
            return False
        except FOREIGN as error:
            return classify(error, Source.USB) is not BoardLostError
        finally:
            self._turn.release()
        return True

    def stored(self, key: ConfigKey) -> bytes:
        """Return one setting as it is now, without the NULs that fill its field."""
        (value,) = self.ask_fresh((Request.CONFIG, key))
        return value.split(b"\0", 1)[0]

    def expect_silence(self, duration_s: float) -> None:
        """Remember that the board was just given a sequence of that many nominal seconds."""
        self._busy_until = time.monotonic() + duration_s * CLOCK_MARGIN if duration_s > 0 else None

    @property
    def busy_s(self) -> float:
        """Seconds for which the sequence that this link started may still keep the board silent."""
        until = self._busy_until
        return max(0.0, until - time.monotonic()) if until is not None else 0.0

    @property
    def location(self) -> str:
        """Bus and address of the board, in the words of `Sighting.location`."""
        return f"bus {self._device.bus} address {self._device.address}"

    def wait_out_sequence(self) -> None:
        """Let the board finish what this link started, if anything: every request does so first.

        So no request that has an effect is ever given up half-way.
        """
        if self._busy_until is not None:
            self.answer()

    def answer(self, limit_s: float | None = None) -> bytes:
        """Wait until the board answers, and return its version reply.

        A long wait is made of several requests, so that Ctrl-C is heard in between. What is remembered of
        the sequence survives it: the board must still be made safe, and that waits for the sequence too.

        Args:
            limit_s: How long to wait; None: as long as the sequence that this link started may still take.

        Raises:
            BoardTimeoutError: It stayed silent.
            BoardLostError: It is gone.
        """
        with self._turn:
            deadline = Deadline(self._allowance_s() if limit_s is None else limit_s)
            while True:
                try:
                    reply = self._version(deadline)
                except TransferError:
                    if deadline.passed or deadline.spent_s > REQUEST_LIMIT_S:
                        raise
                    hold(_PAUSE_S)
                except BoardTimeoutError as error:
                    if deadline.passed:
                        self._busy_until = None
                        raise self._silent(deadline, error) from error
                    hold(min(_PAUSE_S, deadline.left_s))
                else:
                    self._busy_until = None
                    return reply

    def close(self) -> None:
        """Let go of the board; every later request is refused."""
        self.access.end()
        self.access.finish()
        if not self.access.is_inherited:
            let_go(self._device)

    def _version(self, deadline: Deadline) -> bytes:
        limit_s = min(max(deadline.left_s, _PAUSE_S), _SLICE_S)
        return self._transfer(VENDOR_IN, Request.READ, ReadKey.VERSION, REPLY_SIZE, limit_s)

    def _silent(self, deadline: Deadline, error: BoardTimeoutError) -> BoardTimeoutError:
        return BoardTimeoutError(
            f"board {self.serial} did not answer within {deadline.limit_s:.1f} s",
            why="it hangs, or it works through a longer power sequence than this process knows of",
            remedy=error.remedy,
            errno=error.errno,
            serial=self.serial,
        )

    def _allowance_s(self) -> float:
        return REQUEST_LIMIT_S + self.busy_s

    def _transfer(
        self, kind: int, request: Request, value: int, payload: bytes | int, limit_s: float
    ) -> bytes:
        count_asked(self.serial)
        began_s, sent = time.monotonic(), payload if isinstance(payload, bytes) else None
        try:
            reply = self._control(kind, request, value, payload, limit_s)
        except FOREIGN as error:
            what = f"board {self.serial}: {request.name.lower()} request (value {value}) failed"
            told = translate(error, Source.USB, what, serial=self.serial)
            self.requests.note(began_s, request, value, sent, type(told).__name__)
            raise told from error
        self.requests.note(began_s, request, value, sent, OK)
        return bytes(reply) if kind == VENDOR_IN else b""

    def _control(
        self, kind: int, request: Request, value: int, payload: bytes | int, limit_s: float
    ) -> Sequence[int]:
        """Make one transfer: the only place where a request is sent to the board."""
        if isinstance(payload, bytes) and len(payload) > MOST_DATA_BYTES:
            raise SettingError(
                f"board {self.serial}: {len(payload)} bytes are too many for one request",
                why=f"over {MOST_DATA_BYTES} bytes stop its USB until its power goes; nothing was sent",
                remedy=f"shorten it by {len(payload) - MOST_DATA_BYTES} bytes",
                serial=self.serial,
            )
        limit_ms = max(1, round(limit_s * 1000))
        with self.access:
            reply: Sequence[int] = self._device.ctrl_transfer(
                kind, request, value, self._interface, payload, limit_ms
            )
            return reply
