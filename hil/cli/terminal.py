"""The terminal of whoever typed the command: raw while a console has it, and restored however that ends."""

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
    """A signal asked the process to end; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_as_errors() -> Iterator[None]:
    """Turn signals that would end the process into `EndedError`, for a `with` block; ignored ones stay so.

    Further signals are ignored then: one in the midst of what restores the terminal would leave it as it is.

    Raises:
        EndedError: One of them came.
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
    """Have a terminal hand on every key as it is, Ctrl-C too, for a `with` block."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        yield
    finally:
        termios.tcflush(descriptor, termios.TCIFLUSH)  # mouse reports, answers to what the DUT asked it
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _end(number: int, _frame: object) -> NoReturn:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise EndedError(number)
