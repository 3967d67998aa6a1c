"""A session of `hil console`: pass output to sinks, and typed keys to the DUT."""

from __future__ import annotations

import os
import select
import threading
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.board_shell import ESCAPE
from hil.dutlink.console.queues import EventQueue
from hil.dutlink.timing import Deadline
from hil.errors import HilError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hil.cli.commands.console_output import ConsoleOutput, ConsoleSink
    from hil.dutlink.console.console import Console
    from hil.dutlink.console.transcript import Event

__all__ = ["HELP", "LEAVE", "ConsoleSession"]

LEAVE: Final = b"\x1d"
"""Ctrl-], as in telnet and many consoles."""

HELP: Final = b"\x1e"
"""Ctrl-^, which few programs use."""

_AFTER_HELP: Final = {b"]": LEAVE, b"^": HELP}
"""Keys that send a key of ours to the DUT, if they are typed right after Ctrl-^."""

_READ_BYTES: Final = 4096
_HELD_BYTES: Final = 16 * 1024 * 1024
_REST_S: Final = 0.3
"""Time for a stalled output to take the last bytes, in seconds."""


class ConsoleSession:
    """One session of `hil console`.

    Args:
        console: The open console.
        sinks: Sinks for its output.
        output: Output of the sinks, whose reader may stall; up to 16 MiB wait for it.
        keys: File descriptor for keys, or None to send no keys.
        show_help: Shows the keys to the user.

    Attributes:
        has_typed_escape: Whether the user typed five Ctrl-B, with which a board leaves console mode.
    """

    def __init__(
        self,
        console: Console,
        sinks: Sequence[ConsoleSink],
        output: ConsoleOutput,
        keys: int | None,
        *,
        show_help: Callable[[], None] = lambda: None,
    ) -> None:
        self._console = console
        self._sinks = sinks
        self._output = output
        self._keys = keys
        self._events: EventQueue[Event] = EventQueue(_HELD_BYTES)
        self._typed: SimpleQueue[bytes] = SimpleQueue()
        self._trouble: HilError | None = None
        self._newest_keys = b""
        self._show_help = show_help
        self._is_after_help = False
        self.has_typed_escape = False

    def run(self) -> None:
        """Run until the user types Ctrl-] or the terminal is closed.

        Raises:
            ConsoleLostError: The console is gone.
            ConsoleError: The console does not take keys.
            OSError: The output cannot be written any more.
        """
        with self._woken() as wake:
            poller = select.poll()
            poller.register(wake, select.POLLIN)
            if self._keys is not None:
                poller.register(self._keys, select.POLLIN)
            stalls = False
            while True:
                ready = {descriptor for descriptor, _ in poller.poll()}
                if wake in ready:
                    os.read(wake, _READ_BYTES)
                stalled, stalls = stalls, not self._show()
                if stalls and not stalled:
                    poller.register(self._output.descriptor, select.POLLOUT)
                elif stalled and not stalls:
                    poller.unregister(self._output.descriptor)
                self._console.check()
                if self._trouble is not None:
                    raise self._trouble
                if self._keys in ready and not self._take_keys():
                    return

    def _show(self, limit_s: float = 0.0) -> bool:
        """Show new events, waiting up to `limit_s` for the output; return False if it did not take all."""
        deadline = Deadline(limit_s)
        while self._output.flush(deadline.left_s):
            try:
                event = self._events.get(block=False)
            except Empty:
                return True
            for sink in self._sinks:
                sink.show(event)
        return False

    def _take_keys(self) -> bool:
        """Pass typed keys on; return False at the end of input or if a key leaves the session."""
        try:
            typed = os.read(self._keys or 0, _READ_BYTES)
        except OSError:  # the terminal is gone
            return False
        for_dut, leaves = self._split_keys(typed)
        if for_dut:
            self._typed.put(for_dut)
            self._newest_keys = (self._newest_keys + for_dut)[-_READ_BYTES:]
            self.has_typed_escape = self.has_typed_escape or ESCAPE in self._newest_keys
        return bool(typed) and not leaves

    def _split_keys(self, typed: bytes) -> tuple[bytes, bool]:
        """Return the keys for the DUT, and True if a key leaves; show the help if a key requests it."""
        for_dut = bytearray()
        for number in typed:
            key, is_after_help = bytes([number]), self._is_after_help
            self._is_after_help = key == HELP
            if key == HELP:
                self._show_help()
            elif key == LEAVE:
                return bytes(for_dut), True
            else:
                for_dut += _AFTER_HELP.get(key, key) if is_after_help else key
        return bytes(for_dut), False

    @contextmanager
    def _woken(self) -> Iterator[int]:
        """Yield a pipe that becomes readable when there are events to show."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)

        ringing = threading.Lock()
        is_over = threading.Event()

        def ring() -> None:
            with ringing, suppress(BlockingIOError):
                if not is_over.is_set():
                    os.write(waker, b"x")

        def stop_ringing() -> None:
            """Close the pipe; a later `ring` must not write into another file with its number."""
            with ringing:
                is_over.set()
                os.close(waker)

        def take(event: Event) -> None:
            self._events.put(event)
            ring()

        with ExitStack() as over:
            over.callback(os.close, wake)
            over.callback(stop_ringing)
            over.callback(self._show, _REST_S)
            over.enter_context(self._sending(ring))
            over.callback(self._events.tell_missing)
            over.callback(self._console.transcript.listen(take, from_start=True))
            yield wake

    @contextmanager
    def _sending(self, ring: Callable[[], None]) -> Iterator[None]:
        """Send typed keys in a thread, because sending may hang; call `ring` if it fails."""

        def send() -> None:
            try:
                while data := self._typed.get():
                    self._console.send(data)
            except HilError as error:
                self._trouble = error
                ring()

        sender = threading.Thread(target=send, name="sends what is typed", daemon=True)
        sender.start()
        try:
            yield
        finally:
            self._typed.put(b"")
            sender.join(1.0)
