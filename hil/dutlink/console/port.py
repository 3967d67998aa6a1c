"""An open tty: a thread reads it from open to close; other threads write to it.

The thread reads all the time, because bytes that do not fit into the board's buffer of 1024 bytes are lost
(firmware: main.rs, usbserial.rs).
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.dutlink.console.queues import ByteStream
from hil.dutlink.console.tty import Tty, open_tty
from hil.dutlink.console.tty_reader import ReadPacing, TtySource
from hil.dutlink.usb.access import Access
from hil.dutlink.usb.error_mapping import ErrorSource, translate
from hil.dutlink.usb.request_log import record_error
from hil.errors import ConsoleError, ConsoleLostError
from hil.forked_child import OwnDescriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.console.transcript import Transcript

__all__ = ["WRITE_LIMIT_S", "ConsolePort"]

WRITE_LIMIT_S = 30.0
"""Seconds for which the board may accept no byte, as it does during a power sequence."""

DRAIN_LIMIT_S = 5.0
"""The longest wait for the reader, in seconds; it never takes one second."""

_DRAIN, _STOP = b"d", b"x"
_DRAIN_BYTES = 4 * 1024 * 1024
"""The most bytes that are read before the next order, from a console that never pauses."""


class ConsolePort:
    """An open console tty, which a thread reads all the time.

    Args:
        tty: The tty.
        serial: The board's serial number, for errors.
        transcript: Receives every byte.
        access: Permission to use the board, which each write checks; None: the port's own.

    Raises:
        ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: The tty cannot be opened.
    """

    def __init__(self, tty: Tty, serial: str, transcript: Transcript, access: Access | None = None) -> None:
        self.tty = tty
        self.stream = ByteStream()
        self._serial = serial
        self._access = access or Access(serial)
        self._transcript = transcript
        self._sink = self.stream
        self._owner = os.getpid()
        self._routing = threading.Lock()
        self._descriptor = open_tty(tty, serial)
        self._source = TtySource(self._descriptor)
        self._wake, self._waker = os.pipe()
        self._open = OwnDescriptors(self._descriptor, self._wake, self._waker)
        self._drained = threading.Semaphore(0)
        self._reader = threading.Thread(target=self._run_reader, name=f"reader of {tty.path}", daemon=True)
        self._reader.start()

    @property
    def lost(self) -> bool:
        """Whether the tty went away; in a forked child it always did."""
        return self.stream.ended or os.getpid() != self._owner

    def lost_error(self) -> ConsoleLostError:
        """Record and return the error for a tty that went away."""
        error = ConsoleLostError(
            f"the console {self.tty.path} went away while it was open",
            why="the board was unplugged or reset, or the tty's driver let go of it",
            remedy="plug the board in again and open it again",
            serial=self._serial,
        )
        record_error(self._serial, error)
        return error

    def write(self, data: bytes) -> None:
        """Send all of the bytes.

        Raises:
            ConsoleLostError: The tty went away.
            ConsoleError: The tty took no byte for 30 s.
            LeaseEndedError: The board's lease has ended.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[self._write_some(rest) :]
            if rest and not self._writable(WRITE_LIMIT_S):
                raise ConsoleError(
                    f"the console {self.tty.path} took no more bytes for {WRITE_LIMIT_S:.0f} s",
                    why=f"{len(rest)} of {len(data)} are left; a hung board takes none",
                    remedy="replug the board",
                    serial=self._serial,
                )

    @contextmanager
    def diverted(self) -> Iterator[ByteStream]:
        """Divert the bytes that come during a block to another stream; unread ones come back at the end."""
        aside = ByteStream()
        with self._routing:
            if self.lost:
                aside.end()
            self._sink = aside
        try:
            yield aside
        finally:
            with self._routing:
                self._give_back(aside)
                self._sink = self.stream

    def drain(self) -> None:
        """Return when every byte that the tty held at the time of the call is in the transcript."""
        if not self.lost:
            os.write(self._waker, _DRAIN)
            self._drained.acquire(timeout=DRAIN_LIMIT_S)

    def close(self) -> None:
        """Stop reading and close the tty; in a forked child the copies are closed already."""
        if os.getpid() == self._owner:
            os.write(self._waker, _STOP)
            self._reader.join()
        self._open.close()

    def _give_back(self, aside: ByteStream) -> None:
        try:
            self.stream.feed(aside.take(0))
        except EOFError:
            self.stream.end()

    def _write_some(self, data: memoryview) -> int:
        try:
            with self._access:
                if self.lost:
                    raise self.lost_error()
                return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            what = f"the console {self.tty.path} does not take bytes"
            raise translate(error, ErrorSource.TTY, what, serial=self._serial) from error

    def _writable(self, limit_s: float) -> bool:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        return bool(poller.poll(limit_s * 1000))

    def _run_reader(self) -> None:
        """Run the reader thread until `close`, or until the tty goes away."""
        try:
            stopped = self._read_on()
        finally:  # also after an error of the reader: no thread must wait for it
            with self._routing:
                self._sink.end()
                self.stream.end()
            self._drained.release()  # for a thread that called `drain` since
        if not stopped:
            self._transcript.mark(f"console {self.tty.path} went away")

    def _read_on(self) -> bool:
        """Read until `close`; return False if the tty went away before that."""
        both, orders = select.poll(), select.poll()
        both.register(self._descriptor, select.POLLIN)
        for poller in (both, orders):
            poller.register(self._wake, select.POLLIN)
        pace = ReadPacing(self.tty.baud_rate)
        while True:
            ready = {descriptor for descriptor, _ in both.poll()}
            order = os.read(self._wake, 1) if self._wake in ready else b""
            taken = self._read_available(_DRAIN_BYTES if order else 1)
            if taken is None or order == _STOP:
                return taken is not None
            if order:
                self._drained.release()
            else:
                orders.poll(pace.rest_s(taken, is_ahead=self._sink.is_ahead) * 1000)

    def _read_available(self, least_bytes: int) -> int | None:
        """Read what is there, until there is no more or `least_bytes` were read.

        Returns:
            How many bytes were read; None if the tty went away.
        """
        taken = 0
        while taken < least_bytes:
            data = self._source.read()
            if data is None:
                return None
            if not data:
                break
            taken += len(data)
            self._transcript.append(data)
            with self._routing:
                self._sink.feed(data)
        return taken
