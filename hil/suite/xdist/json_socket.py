"""A unix socket between two processes of a run that carries one JSON object a line, each way.

`drain` handles all messages that have arrived, in the caller's thread: so a message that was sent before an
event can be read after the event. A thread handles messages at other times, and notices the end of the other
process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

from hil.suite.xdist.plain_messages import as_plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JsonSocket"]

CHUNK_BYTES = 65536
_LOG = logging.getLogger(__name__)

LONGEST_BYTES = 64 << 20
"""The longest object; the requirements of 100,000 tests take less."""


class JsonSocket:
    """A connected socket that carries JSON objects.

    Args:
        connected: The socket, which this object closes.
        heard: Called with each object that arrives, in order, never two at a time.
        gone: Called once when the other end was closed, has ended, or sent something else; not after `close`.
    """

    def __init__(
        self,
        connected: socket.socket,
        heard: Callable[[dict[str, Any]], None],
        gone: Callable[[], None] = lambda: None,
    ) -> None:
        self._socket = connected
        self._heard = heard
        self._gone = gone
        self._rest = b""
        self._ended = False
        self._closed = False
        self._receiving = threading.RLock()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="hil run line", daemon=True)
        self._thread.start()

    def send(self, message: dict[str, Any]) -> None:
        """Send an object; if the other process has ended, do nothing."""
        text = json.dumps(message)
        if r"\ud" in text:  # it may have bytes that are not UTF-8: the other end names things as xdist does
            text = json.dumps(as_plain(message))
        line = text.encode() + b"\n"
        with self._sending, contextlib.suppress(OSError):
            self._socket.sendall(line)

    def drain(self) -> None:
        """Handle the messages that have arrived, without waiting."""
        with self._receiving:
            while not self._ended and self._readable(wait_ms=0):
                self._receive()

    def close(self) -> None:
        """Close the socket; the other end calls `gone`, this one does not."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closes the socket
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _watch(self) -> None:
        while not self._ended:
            self._readable(wait_ms=None)
            self.drain()
        self._socket.close()
        if not self._closed:
            self._gone()

    def _readable(self, wait_ms: int | None) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(wait_ms))

    def _receive(self) -> None:
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except OSError:
            data = b""
        if not data:
            self._ended = True
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_BYTES:
            self._ended = True
        for line in lines:
            try:
                self._heard(json.loads(line))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                _LOG.exception("the line to another process of this run ends: it says %.200r", line)
                self._ended = True
                return
