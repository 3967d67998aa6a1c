"""Run a command below this process: pass signals on to it and return its exit status."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.lab.locks.stopped_guards import is_stopped
from hil.lab.processes.handled_signals import handled_by
from hil.lab.processes.reaper import ENDED_BY, FROM_THE_TERMINAL, PASSED_ON, has_the_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["command_end_pipe", "run_supervised", "wait_and_handle_signals"]

_LOOK_EVERY_MS: Final = 1000
_SCRIPT: Final = Path(__file__).with_name("supervised_child.py")


@contextmanager
def command_end_pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe that is at its end when all processes of a command have ended, for a `with` block.

    Yields:
        The end to read, for a guard; the end to write, for `run_supervised`.
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
    """Run a command and return its exit status; 128 plus the signal's number if a signal ended it.

    The command shares this process's group and terminal, so Ctrl-C reaches it; other signals to this process
    are passed on to it. The processes that the command started end when it ends, or when this process is
    killed; `supervised_child` ends them.

    Args:
        command: Program and arguments.
        environ: The command's environment.
        mark: From `command_end_pipe`; `supervised_child` keeps it open until all these processes have ended.
        kept: Further files that `supervised_child` keeps open as long: the board's locks.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        if process is None:
            early.append(number)
        elif number not in FROM_THE_TERMINAL or not has_the_terminal():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    with handled_by(pass_on, PASSED_ON):
        leader = (str(os.getpid()), str(os.getpgrp()), ",".join(map(str, (mark, *kept))))
        flags = ("-s", "-S", "-P") if "PYTHONHOME" in environ else ("-I", "-S")
        arguments = [sys.executable, *flags, str(_SCRIPT), *leader, *command]
        process = subprocess.Popen(arguments, env=_as_bytes(environ), process_group=0, pass_fds=(mark, *kept))
        for number in early:
            pass_on(number, None)
        status = wait_and_handle_signals(process, keep_running=True)
    return ENDED_BY - status if status < 0 else status


def wait_and_handle_signals(process: subprocess.Popen[bytes], *, keep_running: bool = False) -> int:
    """Wait until a process has ended and return its exit code, as `Popen.wait` does.

    Python runs the handler of a signal when the main thread's system call returns. A signal that comes just
    before `waitpid`, or to another thread, does not end that call, so that `Popen.wait` would run its handler
    only after the process had ended. This function returns to Python each second.

    Args:
        process: The process.
        keep_running: Continue the process if it was stopped (SIGSTOP).
    """
    try:
        ended = os.pidfd_open(process.pid)
    except ProcessLookupError:  # it ended, and the handler of a signal has reaped it
        return process.wait()
    try:
        watch = select.poll()
        watch.register(ended, select.POLLIN)
        while not watch.poll(_LOOK_EVERY_MS):
            if keep_running and is_stopped(process.pid):
                process.send_signal(signal.SIGCONT)
    finally:
        os.close(ended)
    return process.wait()


def _as_bytes(environ: Mapping[str, str]) -> dict[bytes, bytes]:
    """Encode an environment: a board's name may have letters that the C locale cannot encode."""
    return {_encoded(name): _encoded(value) for name, value in environ.items()}


def _encoded(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
