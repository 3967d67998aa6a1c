"""Runs a command that is led by this process: signals are passed on, and its exit status comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.lab.supervising import has_the_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

__all__ = ["lead"]

_SCRIPT: Final = Path(__file__).with_name("led_process.py")
_FROM_THE_TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
_PASSED_ON: Final = _FROM_THE_TERMINAL | {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
_KILLED = 128
"""What shells add to the number of the signal that ended a program."""


def lead(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command and return its exit status; 128 and the signal's number where one ended it.

    It shares this process's group and terminal, so Ctrl-C reaches it by itself; other signals to this
    process are passed on to it. When it has ended, so have the processes that it started; they also end when
    this process is killed.

    Args:
        command: Program and arguments.
        environ: Its environment.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        if process is None:
            early.append(number)
        elif number not in _FROM_THE_TERMINAL or not has_the_terminal():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    with _handled_by(pass_on):
        leader = (str(os.getpid()), str(os.getpgrp()))
        flags = ("-s", "-S", "-P") if "PYTHONHOME" in environ else ("-I", "-S")
        arguments = [sys.executable, *flags, str(_SCRIPT), *leader, *command]
        process = subprocess.Popen(arguments, env=environ, process_group=0)
        for number in early:
            pass_on(number, None)
        status = process.wait()
    return _KILLED - status if status < 0 else status


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _PASSED_ON}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
