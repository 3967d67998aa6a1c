"""The user's terminal: raw mode for a console, and signals as exceptions so that it is always restored."""

from __future__ import annotations

import signal
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EndedError", "raw_terminal", "signals_as_errors"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


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
    heard = [one for one in _SIGNALS if signal.getsignal(one) not in {signal.SIG_IGN, None}]
    before = {one: signal.signal(one, _end) for one in heard}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


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
