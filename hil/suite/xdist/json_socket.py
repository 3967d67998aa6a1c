"""One end of a line between two processes of a run: a JSON object a line, each way, over a unix socket.

What the other end has sent before it caused something here can be read here: `drain` takes in, at once and in
the caller's thread, all that has arrived. A thread does the same when nobody asks, and notices the end of the
other process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JsonSocket"]

CHUNK_BYTES = 65536
_LOG = logging.getLogger(__name__)

LONGEST_BYTES = 64 << 20
"""Of an object; the requirements of 100,000 tests take less."""


class JsonSocket:
    """A connected socket that carries JSON objects.

    Args:
        connected: The socket; it belongs to the line from now on.
        heard: Is given each object that arrives, in order, never two at a time.
        gone: Is called once when the other end is closed, has ended, or says what is no message; not after
            `close`.
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
        """Send one object; to a process that has ended, nothing is sent and nothing is raised."""
        line = json.dumps(message).encode() + b"\n"
        with self._sending, contextlib.suppress(OSError):
            self._socket.sendall(line)

    def drain(self) -> None:
        """Take in what has arrived, without waiting."""
        with self._receiving:
            while not self._ended and self._readable(wait_ms=0):
                self._receive()

    def close(self) -> None:
        """End the line; the other end notices, this one stays silent."""
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
