"""The simulated DUT's tty: echo, erase, end of line, Ctrl-C and Ctrl-D.

As on Linux, CR and LF each end a line, so CR LF counts as Enter typed twice.
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
"""Longest line and longest type-ahead; further bytes are lost."""


class LineReader(Protocol):
    """A reader of a terminal's lines."""

    def line(self, text: str) -> None:
        """Handle a line. The next one comes only after the next `ask`."""
        ...

    def interrupt(self) -> None:
        """Handle Ctrl-C, typed in a line or between two."""
        ...

    def end(self) -> None:
        """Handle Ctrl-D, typed at the start of a line. The next line comes only after the next `ask`."""
        ...


class DutTerminal:
    """Makes lines of the bytes from the UART.

    Args:
        uart: UART for prompts and echo.
        reader: Reader of the lines.
    """

    def __init__(self, uart: DutTransmitter, reader: LineReader) -> None:
        self._uart = uart
        self._reader = reader
        self._line = bytearray()
        self._ahead: deque[int] = deque(maxlen=_LIMIT_BYTES)
        self._reading = False
        self._echo = True

    def ask(self, prompt: str, *, echo: bool = True) -> None:
        """Print a prompt, then read one line. Bytes typed before the prompt are read first."""
        self._uart.send(prompt.encode())
        self._uart.then(partial(self._read, echo=echo))

    def feed(self, byte: int) -> None:
        """Take a typed byte. Between two prompts it waits, except Ctrl-C.

        Bytes come one by one, because each may end this terminal.
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
        self._reader.interrupt()

    def _type(self, byte: int) -> None:
        if byte in _ENTER:
            self._enter()
        elif byte in _ERASE:
            self._erase(1)
        elif byte == _CTRL_U:
            self._erase(len(self._line))
        elif byte == _CTRL_D and not self._line:
            self._reading = False
            self._reader.end()
        elif byte >= _SPACE and len(self._line) < _LIMIT_BYTES:
            self._line.append(byte)
            self._show(bytes([byte]))

    def _enter(self) -> None:
        text = self._line.decode(errors="replace")
        self._line.clear()
        self._reading = False
        self._uart.send(b"\r\n")
        self._reader.line(text)

    def _erase(self, count: int) -> None:
        count = min(count, len(self._line))
        del self._line[len(self._line) - count :]
        self._show(b"\b \b" * count)

    def _show(self, data: bytes) -> None:
        if self._echo:
            self._uart.send(data)
