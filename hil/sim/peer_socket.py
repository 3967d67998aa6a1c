"""A client's connection to the simulator: each answer comes whole, in time, and has a largest size."""

from __future__ import annotations

import socket
import time
from typing import Final

__all__ = ["ANSWER_LIMIT_S", "PeerError", "PeerSocket"]

ANSWER_LIMIT_S: Final = 20.0
"""Limit for one whole answer, not for each byte; generous, for busy machines."""

_RECEIVE_BYTES = 1 << 16


class PeerError(Exception):
    """What listens there hung up, took too long, or said too much; the text says which."""


class PeerSocket:
    """A connection, closed by its caller.

    Args:
        address: Where the simulator listens.

    Raises:
        OSError: Nothing listens there.
        OverflowError: There is no such port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, ANSWER_LIMIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._deadline = 0.0

    def send(self, request: bytes) -> None:
        """Send a request; from now on its answer has its time.

        Raises:
            PeerError: It was not taken in time.
        """
        self._deadline = time.monotonic() + ANSWER_LIMIT_S
        try:
            self.socket.settimeout(ANSWER_LIMIT_S)  # fails on a socket that was closed, as what follows does
            self.socket.sendall(request)
        except OSError as error:
            raise _failed(error) from error

    def read_line(self, most_bytes: int) -> bytes:
        """Return the answer's next line, without its end.

        Raises:
            PeerError: It did not end in time, or within `most_bytes`.
        """
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._receive_more(most_bytes)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def read_exactly(self, size_bytes: int) -> bytes:
        """Return so many bytes of the answer; raises PeerError as `line` does."""
        while len(self._received) < size_bytes:
            self._receive_more(size_bytes)
        taken = bytes(self._received[:size_bytes])
        del self._received[:size_bytes]
        return taken

    def read_all(self, most_bytes: int) -> bytes:
        """Return the answer up to the connection's end; raises PeerError as `line` does."""
        while self._receive(most_bytes):
            pass
        return bytes(self._received)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _receive_more(self, most_bytes: int) -> None:
        if not self._receive(most_bytes):
            raise PeerError("it hung up")

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
