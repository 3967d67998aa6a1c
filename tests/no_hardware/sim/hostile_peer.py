"""Hostile peers: clients of a port, or servers that others connect to."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["drip", "flood", "listening"]


def drip(peer: socket.socket, data: bytes, pause_s: float) -> int:
    """Send a byte at a time until the other end hangs up; return how many it took."""
    for number, byte in enumerate(data):
        try:
            peer.sendall(bytes((byte,)))
            peer.settimeout(pause_s)
            if not peer.recv(1):
                return number
        except TimeoutError:
            continue
        except OSError:
            return number
    return len(data)


def flood(peer: socket.socket, piece: bytes, size_bytes: int) -> int:
    """Send a piece again and again until the other end hangs up; return how many bytes it took."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < size_bytes:
            peer.sendall(piece)
            sent += len(piece)
    return sent


@contextlib.contextmanager
def listening(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield a port where each client gets what `act` does with its connection."""
    ended = threading.Event()

    def serve(server: socket.socket) -> None:
        while not ended.is_set():
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                act(peer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(60)
