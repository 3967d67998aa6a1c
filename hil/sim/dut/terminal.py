"""What the simulated DUT's tty does with typed bytes: echo, erase, end of line, Ctrl-C, Ctrl-D.

As on Linux, CR and LF each end a line: whoever types CR LF has typed Enter twice.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from hil.sim.dut.uart import DutTransmitter

__all__ = ["DutTerminal", "LineReader"]

_CTRL_C: Final = 0x03
_CTRL_D: Final = 0x04
_CTRL_U: Final = 0x15
_ERASE: Final = (0x08, 0x7F)
_ENTER: Final = (0x0D, 0x0A)
_SPACE: Final = 0x20

_LIMIT_BYTES: Final = 1024
"""Longest line, and longest type-ahead; what goes beyond is lost."""


class LineReader(Protocol):
    """Who reads from a terminal."""

    def line(self, text: str) -> None:
        """Take a line; no other comes until the terminal is told to `ask` again."""
        ...

    def interrupt(self) -> None:
        """Ctrl-C was typed, during a line or between two."""
        ...

    def end(self) -> None:
        """Ctrl-D was typed at the start of a line; no line comes until the next `ask`."""
        ...


class DutTerminal:
    """Bytes from the UART become lines.

    Args:
        uart: Where prompts and echo go.
        user: Who gets the lines.
    """

    def __init__(self, uart: DutTransmitter, user: LineReader) -> None:
        self._uart = uart
        self._user = user
        self._line = bytearray()
        self._ahead: deque[int] = deque(maxlen=_LIMIT_BYTES)
        self._reading = False
        self._echo = True

    def ask(self, prompt: str, *, echo: bool = True) -> None:
        """Print a prompt, then read one line; what was typed before that is read first."""
        self._uart.send(prompt.encode())
        self._uart.then(partial(self._read, echo=echo))

    def feed(self, byte: int) -> None:
        """Take a typed byte; between two questions it waits, but for Ctrl-C.

        Bytes come one by one, because each may end the terminal that it is typed on.
        """
        if byte == _CTRL_C:
            self._interrupt()
        elif self._reading:
            self._type(byte)
        elif len(self._ahead) < _LIMIT_BYTES:
            self._ahead.append(byte)

    def _read(self, *, echo: bool) -> None:
        self._echo = echo
        self._reading = True
        while self._reading and self._ahead:
            self._type(self._ahead.popleft())

    def _interrupt(self) -> None:
        self._line.clear()
        self._ahead.clear()
        self._reading = False
        self._user.interrupt()

    def _type(self, byte: int) -> None:
        if byte in _ENTER:
            self._enter()
        elif byte in _ERASE:
            self._erase(1)
        elif byte == _CTRL_U:
            self._erase(len(self._line))
        elif byte == _CTRL_D and not self._line:
            self._reading = False
            self._user.end()
        elif byte >= _SPACE and len(self._line) < _LIMIT_BYTES:
            self._line.append(byte)
            self._show(bytes([byte]))

    def _enter(self) -> None:
        text = self._line.decode(errors="replace")
        self._line.clear()
        self._reading = False
        self._uart.send(b"\r\n")
        self._user.line(text)

    def _erase(self, count: int) -> None:
        count = min(count, len(self._line))
        del self._line[len(self._line) - count :]
        self._show(b"\b \b" * count)

    def _show(self, data: bytes) -> None:
        if self._echo:
            self._uart.send(data)
