"""Interrupt each worker once, whether SIGINT reaches all processes of a run or only the controller.

At a terminal, Ctrl-C sends SIGINT to every process of the run. A CI runner sends SIGINT to the controller
alone, and execnet lets the workers run for five more seconds. So the controller tells its workers that it was
interrupted, and a worker that got no SIGINT sends one to itself. A worker that got one does nothing: a second
interrupt would break off its tear-down.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["Interruption"]


class Interruption:
    """A handler of SIGINT that calls the one it replaced.

    Create it in the main thread; in another thread, and if SIGINT is ignored, it does nothing.
    """

    def __init__(self) -> None:
        self._before: Callable[[int, FrameType | None], Any] | None = None
        self._was_interrupted = self._is_told = False
        before = signal.getsignal(signal.SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            self._before = before
            signal.signal(signal.SIGINT, self._handle)

    def pass_on(self) -> None:
        """Interrupt this process, from any thread, unless it was interrupted before."""
        if self._before is not None:
            self._is_told = True
            os.kill(os.getpid(), signal.SIGINT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        told, self._is_told = self._is_told, False
        if told and self._was_interrupted:
            return
        self._was_interrupted = True
        if self._before is not None:
            self._before(number, frame)
