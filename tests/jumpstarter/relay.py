"""A TCP relay between a run and an exporter. When it goes dark, bytes vanish and connections stay open."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Relay"]

LIMIT_S = 10.0


class Relay:
    """A process that forwards TCP connections to a port of loopback.

    Args:
        port: The port to which it forwards.
    """

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__), str(port)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def go_dark(self) -> None:
        """Stop forwarding; the kernel keeps all connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(LIMIT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _main(port: int) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)  # noqa: T201 - what it is started for
    while True:
        near, _ = server.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for ends in ((near, far), (far, near)):
            threading.Thread(target=_forward, args=ends, daemon=True).start()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
