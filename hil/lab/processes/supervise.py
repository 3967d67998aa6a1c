"""Run a command below this process: pass signals on to it and return its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.lab.processes.reaper import ENDED_BY, FROM_THE_TERMINAL, PASSED_ON, has_the_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

__all__ = ["command_end_pipe", "run_supervised"]

_SCRIPT: Final = Path(__file__).with_name("supervised_child.py")


@contextmanager
def command_end_pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe that is at its end when nothing is left of a command, for a `with` block.

    Yields:
        Its end to read, for a guard; its end to write, for `run_supervised`.
    """
    seen, mark = os.pipe()
    try:
        yield seen, mark
    finally:
        os.close(seen)
        os.close(mark)


def run_supervised(
    command: Sequence[str], environ: Mapping[str, str], mark: int, kept: tuple[int, ...] = ()
) -> int:
    """Run a command and return its exit status; 128 and the signal's number where one ended it.

    It shares this process's group and terminal, so Ctrl-C reaches it by itself; other signals to this
    process are passed on to it. When it has ended, so have the processes that it started; they also end when
    this process is killed.

    Args:
        command: Program and arguments.
        environ: Its environment.
        mark: From `command_end_pipe`: the process that ends the command keeps it open until it has.
        kept: What that process keeps open as long: the board's locks, which are not free before.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        if process is None:
            early.append(number)
        elif number not in FROM_THE_TERMINAL or not has_the_terminal():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    with _handled_by(pass_on):
        leader = (str(os.getpid()), str(os.getpgrp()), ",".join(map(str, (mark, *kept))))
        flags = ("-s", "-S", "-P") if "PYTHONHOME" in environ else ("-I", "-S")
        arguments = [sys.executable, *flags, str(_SCRIPT), *leader, *command]
        process = subprocess.Popen(arguments, env=_as_bytes(environ), process_group=0, pass_fds=(mark, *kept))
        for number in early:
            pass_on(number, None)
        status = process.wait()
    return ENDED_BY - status if status < 0 else status


def _as_bytes(environ: Mapping[str, str]) -> dict[bytes, bytes]:
    """Encode an environment: a board's name may hold letters that the C locale has not got."""
    return {_encoded(name): _encoded(value) for name, value in environ.items()}


def _encoded(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in PASSED_ON}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
