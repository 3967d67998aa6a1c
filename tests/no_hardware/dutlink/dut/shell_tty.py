"""A tty with a real program at its other end, as if it ran on the DUT: a shell, or a getty."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hil.dutlink.console.console import Console
from hil.dutlink.console.tty import Tty

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType


class ShellTty:
    """Runs a program on a terminal of its own, and carries its bytes to and from a raw tty.

    Args:
        argv: The program.
        env: Its environment, beside PATH.
        noise: Changes what it says on the way: a kernel's messages.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: dict[str, str] | None = None,
        noise: Callable[[bytes], bytes] = lambda data: data,
    ) -> None:
        self._noise = noise
        self._program_end, terminal = pty.openpty()
        fcntl.ioctl(self._program_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._tty_end, self._tty = pty.openpty()
        tty.setraw(self._tty)
        self._program = subprocess.Popen(
            ["setsid", "-c", *argv],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={"PATH": os.environ["PATH"], "TERM": "vt220", **(env or {})},
        )
        os.close(terminal)
        port = Tty(Path(os.ttyname(self._tty)), is_board=False)
        self.console = Console("5a1c0e01", lambda: port, port)
        self._wake, self._waker = os.pipe()
        self._carrier = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> Self:
        self.console.open()
        self._carrier.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.console.close()
        os.write(self._waker, b"x")
        self._carrier.join()
        self._program.kill()
        self._program.wait()
        for descriptor in (self._program_end, self._tty_end, self._tty, self._wake, self._waker):
            os.close(descriptor)

    def _carry(self) -> None:
        while True:
            ready, _, _ = select.select([self._program_end, self._tty_end, self._wake], [], [])
            if self._wake in ready:
                return
            try:
                if self._program_end in ready:
                    os.write(self._tty_end, self._noise(os.read(self._program_end, 4096)))
                if self._tty_end in ready:
                    os.write(self._program_end, os.read(self._tty_end, 4096))
            except OSError:  # it ended
                return
