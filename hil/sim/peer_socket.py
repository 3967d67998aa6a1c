"""A client's connection to the simulator, with limits on the time and the size of each answer."""

from __future__ import annotations

import socket
import time
from typing import Final

__all__ = ["ANSWER_LIMIT_S", "PeerError", "PeerSocket"]

ANSWER_LIMIT_S: Final = 20.0
"""Limit for one whole answer; long, because a machine may be busy."""

_RECEIVE_BYTES = 1 << 16


class PeerError(Exception):
    """The peer closed the connection, took too long or sent too much; the text says which."""


class PeerSocket:
    """A connection to the simulator. The caller closes it.

    Args:
        address: Address and port of the simulator.

    Raises:
        OSError: No program listens there.
        OverflowError: The port number is too large.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        try:
            self.socket.settimeout(ANSWER_LIMIT_S)
            self.socket.connect(address)  # `create_connection` would load the IDNA codec
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise
        self._received = bytearray()
        self._deadline = 0.0

    def send(self, request: bytes) -> None:
        """Send a request, and start the time limit for its answer.

        Raises:
            PeerError: The peer did not read the request in time.
        """
        self._deadline = time.monotonic() + ANSWER_LIMIT_S
        try:
            self.socket.settimeout(ANSWER_LIMIT_S)  # inside the try: on a closed socket this call fails, too
            self.socket.sendall(request)
        except OSError as error:
            raise _failed(error) from error

    def read_line(self, most_bytes: int) -> bytes:
        """Return the answer's next line without its line feed.

        Raises:
            PeerError: The line did not end in time, or within `most_bytes`.
        """
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._receive_more(most_bytes)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def read_exactly(self, size_bytes: int) -> bytes:
        """Return the next `size_bytes` of the answer; raise PeerError as `read_line` does."""
        while len(self._received) < size_bytes:
            self._receive_more(size_bytes)
        taken = bytes(self._received[:size_bytes])
        del self._received[:size_bytes]
        return taken

    def read_all(self, most_bytes: int) -> bytes:
        """Return the answer up to the end of the connection; raise PeerError as `read_line` does."""
        while self._receive(most_bytes):
            pass
        return bytes(self._received)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _receive_more(self, most_bytes: int) -> None:
        if not self._receive(most_bytes):
            raise PeerError("it closed the connection")

    def _receive(self, most_bytes: int) -> bool:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise PeerError(f"its answer took more than {ANSWER_LIMIT_S:g} s")
        if len(self._received) > most_bytes:
            raise PeerError(f"its answer has more than {most_bytes} bytes")
        try:
            self.socket.settimeout(left_s)
            data = self.socket.recv(_RECEIVE_BYTES)
        except OSError as error:
            raise _failed(error) from error
        self._received += data
        return bool(data)


def _failed(error: OSError) -> PeerError:
    if isinstance(error, TimeoutError):
        return PeerError(f"its answer took more than {ANSWER_LIMIT_S:g} s")
    return PeerError(error.strerror or str(error))
