"""The user's terminal under `hil console`: raw mode, signals as exceptions, modes restored afterwards.

Modes outlast the program that set them, and a DUT may set any. Sources: ECMA-48; "XTerm Control Sequences"
(ctlseqs); kitty's "Comprehensive keyboard handling".
"""

from __future__ import annotations

import re
import signal
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from hil.lab.processes.handled_signals import handled_by, heard

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EndedError", "TerminalModes", "raw_terminal", "signals_as_errors"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_END_SEQUENCE: Final = b"\x18\x1b\\"
"""CAN and ST, which end an unfinished sequence or string of the DUT."""

_PRIVATE_OFF: Final = (
    *(
        1,
        5,
        9,
        45,
        66,
        67,
    ),  # cursor keys, reverse video, X10 mouse, wrap to the left, keypad, Backspace
    *(1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016),  # reports of the mouse, and of focus
    *(2004, 2026),  # bracketed paste, synchronized output
)
_PRIVATE_ON: Final = (7, 25)  # wrap at the end of a line, cursor
_ALTERNATE: Final = (47, 1047)  # the alternate screen; 1049 would also restore the cursor, even if unused
_RESTORES: Final = {b"1049": b"\x1b[?1049l", b"6": b"\x1b[?6l"}
"""Modes that also move the cursor, and are undone only if the DUT set them: alternate screen, origin mode."""

_ALWAYS: Final = b"".join(
    (
        b"\x0f\x1b(B",  # the letters of US-ASCII, not line drawing
        b"\x1b[0m\x1b[4l\x1b[20l\x1b>",  # no colours, no insert mode, no new-line mode, numeric keypad
        *(b"\x1b[?%dl" % mode for mode in (*_ALTERNATE, *_PRIVATE_OFF)),
        *(b"\x1b[?%dh" % mode for mode in _PRIVATE_ON),
        b"\x1b7\x1b[r\x1b8",  # scroll the whole screen; setting margins moves the cursor, which goes back
    )
)
_KEYBOARD: Final = b"\x1b[<99u\x1b[>4m"
"""Restores the keys: pops kitty's keyboard modes, sets xterm's modifyOtherKeys to its default."""

_SETS: Final = re.compile(rb"\x1b\[(?:\?([0-9;]{1,64})h|[>=][0-9;]{0,64}[um])")
_LONGEST: Final = 72


class EndedError(Exception):
    """A signal requested the end of the process; `number` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_as_errors() -> Iterator[None]:
    """Raise `EndedError` for signals that would end the process, in a `with` block; ignored ones stay so.

    After the first one, further signals are ignored, so that they cannot interrupt the restoring of the
    terminal.

    Raises:
        EndedError: A signal came.
    """
    with handled_by(_end, heard(_SIGNALS)):
        yield


@contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Put a terminal into raw mode for a `with` block: it passes each key on, also Ctrl-C."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        yield
    finally:
        termios.tcflush(descriptor, termios.TCIFLUSH)  # mouse reports, and answers to requests of the DUT
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _end(number: int, _frame: object) -> NoReturn:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise EndedError(number)


class TerminalModes:
    """Remembers the modes that must be undone only if the DUT set them."""

    def __init__(self) -> None:
        self._tail = b""
        self._restores: dict[bytes, bytes] = {}
        self._keyboard = b""

    def feed(self, data: bytes) -> None:
        """Read bytes that the terminal shows."""
        for found in _SETS.finditer(self._tail + data):
            if found[1] is None:
                self._keyboard = _KEYBOARD
            for mode in (found[1] or b"").split(b";"):
                if (number := mode.lstrip(b"0")) in _RESTORES:
                    self._restores[number] = _RESTORES[number]
        self._tail = (self._tail + data[-_LONGEST:])[-_LONGEST:]

    def undo(self) -> bytes:
        """Return bytes that restore the terminal and start a new line."""
        return _END_SEQUENCE + b"".join(self._restores.values()) + self._keyboard + _ALWAYS + b"\r\n"
