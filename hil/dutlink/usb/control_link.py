"""Control transfers to one board, with time limits that allow for power sequences.

While a power sequence waits, the board answers no request: it waits inside its USB interrupt (firmware:
main.rs, ctlpins.rs). A link remembers how long the sequence that it started lasts, and holds the next request
back until the sequence has ended.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.dutlink.timing import Deadline, sleep
from hil.dutlink.usb.access import Access
from hil.dutlink.usb.backend import PYUSB_ERRORS, release
from hil.dutlink.usb.error_mapping import ErrorSource, classify, translate
from hil.dutlink.usb.protocol import (
    CLOCK_MARGIN,
    MOST_DATA_BYTES,
    REPLY_SIZE,
    VENDOR_IN,
    VENDOR_OUT,
    ConfigKey,
    ReadKey,
    Request,
)
from hil.dutlink.usb.request_log import OK, LastRequests, count_request, record_error
from hil.dutlink.usb.safe_requests import SafeRequests
from hil.errors import (
    BoardFaultError,
    BoardLostError,
    BoardTimeoutError,
    HilError,
    LeaseEndedError,
    SettingError,
    TransferError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from hil.dutlink.usb.backend import Device

__all__ = ["REQUEST_LIMIT_S", "ControlLink"]

logger = logging.getLogger(__name__)

REQUEST_LIMIT_S = 2.0
"""Seconds for one request to a board that is not busy; erasing the settings' flash takes most of one."""

_SLICE_S = 10.0
"""The longest single request of a long wait, in seconds: Ctrl-C is handled between two requests."""

_PAUSE_S = 0.1
_REACHABLE_LIMIT_S = 0.25


class ControlLink:
    """The control endpoint of an open board. Several threads may use it.

    No interface is claimed, since vendor requests work while the kernel's cdc_acm driver has the console.

    Args:
        device: pyusb's device.
        interface: Number of the control interface, for `wIndex`.
        serial: The board's serial number, for errors.

    Attributes:
        requests: The last requests, for failure reports.
        access: Permission to use the board, which every request checks.
        safe_requests: What the board last accepted, and what is missing for a safe board.
    """

    def __init__(self, device: Device, interface: int, serial: str) -> None:
        self.serial = serial
        self.requests = LastRequests()
        self.access = Access(serial)
        self._device = device
        self._interface = interface
        self._busy_until: float | None = None
        self._lock = threading.RLock()
        self.safe_requests = SafeRequests(device, interface, self.access, self._lock)

    @property
    def lock(self) -> AbstractContextManager[object]:
        """A lock that keeps other threads' requests out of a block of requests."""
        return self._lock

    @property
    def usb_port(self) -> str:
        """The USB port of the board, as the kernel names it (`1-2.3`); empty if not known."""
        try:
            return f"{self._device.bus}-{'.'.join(map(str, self._device.port_numbers))}"
        except (*PYUSB_ERRORS, AttributeError, TypeError):
            return ""

    def control_out(self, request: Request, value: int = 0, data: bytes = b"") -> None:
        """Send a request that has no reply. The board accepts it first, and acts on it right after.

        Raises:
            SettingError: The data would stop the board's USB; nothing was sent.
            BoardFaultError: The board refused the request or did not answer, or the transfer failed.
            BoardLostError: The board left the bus.
        """
        with self._lock, self._recording_errors():
            self.wait_idle()
            self._transfer(VENDOR_OUT, request, value, data, REQUEST_LIMIT_S)

    def control_in(self, request: Request, value: int) -> bytes:
        """Send a request that has a reply, and return the reply; raises what `control_out` raises."""
        with self._lock, self._recording_errors():
            self.wait_idle()
            return self._transfer(VENDOR_IN, request, value, REPLY_SIZE, REQUEST_LIMIT_S)

    @contextmanager
    def _recording_errors(self) -> Iterator[None]:
        """Record an error of the block, so that a run can name an error that its test caught."""
        try:
            yield
        except (BoardFaultError, BoardLostError) as error:
            record_error(self.serial, error)
            raise

    def snapshot_read(self, *questions: tuple[Request, int]) -> list[bytes]:
        """Have the board take a snapshot, then return the reply to each request.

        The board replies from its last snapshot; without a new one, a reply may be old.
        """
        with self._lock:
            self.control_out(Request.REFRESH)
            return [self.control_in(request, value) for request, value in questions]

    def try_read(self, request: Request, value: int, limit_s: float) -> bytes | None:
        """Return what `snapshot_read` returns if the board answers now.

        Return None if the board may be busy, if another thread uses it, or on any error; `snapshot_read`
        raises the exception.

        Args:
            request: The request.
            value: Its `wValue`.
            limit_s: Seconds that the snapshot may take, and again the reply.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._busy_until is not None:
                return None
            self._transfer(VENDOR_OUT, Request.REFRESH, 0, b"", limit_s)
            return self._transfer(VENDOR_IN, request, value, REPLY_SIZE, limit_s)
        except HilError:
            return None
        finally:
            self._lock.release()

    def is_reachable(self) -> bool:
        """Return False if the device that was opened has left the bus; a busy or silent one is reachable."""
        if self._busy_until is not None or not self._lock.acquire(blocking=False):
            return True
        try:
            self._control(VENDOR_IN, Request.READ, ReadKey.VERSION, REPLY_SIZE, _REACHABLE_LIMIT_S)
        except LeaseEndedError:
            return False
        except PYUSB_ERRORS as error:
            return classify(error, ErrorSource.USB) is not BoardLostError
        finally:
            self._lock.release()
        return True

    def read_setting(self, key: ConfigKey) -> bytes:
        """Return one setting that the board stores, without the NULs that fill its field."""
        (value,) = self.snapshot_read((Request.CONFIG, key))
        return value.split(b"\0", 1)[0]

    def set_busy(self, duration_s: float) -> float:
        """Remember that the board has just started a sequence of that many nominal seconds.

        Returns:
            The seconds that the sequence takes at most, since the board's clock may be slow.
        """
        most_s = duration_s * CLOCK_MARGIN
        self._busy_until = time.monotonic() + most_s if most_s > 0 else None
        return most_s

    @property
    def busy_s(self) -> float:
        """Seconds for which the sequence that this link started may still keep the board silent."""
        until = self._busy_until
        return max(0.0, until - time.monotonic()) if until is not None else 0.0

    @property
    def location(self) -> str:
        """Bus and address of the board, in the words of `ProbeResult.location`."""
        return f"bus {self._device.bus} address {self._device.address}"

    def wait_idle(self) -> None:
        """Wait until the sequence that this link started has ended.

        Each request calls this first, so that no request times out because of the sequence.
        """
        if self._busy_until is not None:
            self.wait_ready()

    def wait_ready(self, limit_s: float | None = None) -> bytes:
        """Wait until the board answers, and return its version reply.

        A long wait consists of several requests, so that Ctrl-C is handled between two of them. Ctrl-C does
        not make the link forget the sequence: making the board safe has to wait for it as well.

        Args:
            limit_s: How long to wait, in seconds; None: as long as the sequence may still take.

        Raises:
            BoardTimeoutError: The board did not answer in time.
            BoardLostError: The board left the bus.
        """
        with self._lock:
            deadline = Deadline(self._allowance_s() if limit_s is None else limit_s)
            while True:
                try:
                    reply = self._version(deadline)
                except TransferError:
                    if deadline.passed or deadline.spent_s > REQUEST_LIMIT_S:
                        raise
                    sleep(_PAUSE_S)
                except BoardTimeoutError as error:
                    if deadline.passed:
                        self._busy_until = None
                        raise self._silent(deadline, error) from error
                    sleep(min(_PAUSE_S, deadline.left_s))
                else:
                    self._busy_until = None
                    return reply

    def close(self) -> None:
        """Close the board; every later request raises `LeaseEndedError`."""
        self.access.end()
        self.access.finish()
        if not self.access.is_fork:
            release(self._device)

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
        count_request(self.serial)
        began_s, sent = time.monotonic(), payload if isinstance(payload, bytes) else None
        try:
            reply = self._control(kind, request, value, payload, limit_s)
        except PYUSB_ERRORS as error:
            what = f"board {self.serial}: {request.name.lower()} request (value {value}) failed"
            translated = translate(error, ErrorSource.USB, what, serial=self.serial)
            self.requests.add(began_s, request, value, sent, type(translated).__name__)
            raise translated from error
        self.requests.add(began_s, request, value, sent, OK)
        return bytes(reply) if kind == VENDOR_IN else b""

    def _control(
        self, kind: int, request: Request, value: int, payload: bytes | int, limit_s: float
    ) -> Sequence[int]:
        """Make one transfer. Each request to the board goes through this method."""
        if isinstance(payload, bytes) and len(payload) > MOST_DATA_BYTES:
            raise SettingError(
                f"board {self.serial}: {len(payload)} bytes are too many for one request",
                why=f"over {MOST_DATA_BYTES} bytes stop its USB until its power goes; nothing was sent",
                remedy=f"shorten it by {len(payload) - MOST_DATA_BYTES} bytes",
                serial=self.serial,
            )
        limit_ms = max(1, round(limit_s * 1000))
        try:
            with self.access:
                reply: Sequence[int] = self._device.ctrl_transfer(
                    kind, request, value, self._interface, payload, limit_ms
                )
        except PYUSB_ERRORS as error:
            logger.debug("board %s: %s request, value %d: %r", self.serial, request.name, value, error)
            raise
        if isinstance(payload, bytes):
            self.safe_requests.note(request, value, payload)
        if logger.isEnabledFor(logging.DEBUG):
            data = payload if isinstance(payload, bytes) else bytes(reply)
            logger.debug("board %s: %s request, value %d: %r", self.serial, request.name, value, data)
        return reply
