"""Run a program with its output copied to the terminal and to a file, and pass Ctrl-C on to it once."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, BinaryIO

from hil.lab.processes.handled_signals import handled_by
from hil.lab.processes.supervise import wait_and_handle_signals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["run_tee"]

_LATE_OUTPUT_S = 5.0
"""Seconds to wait for more output after the program has ended, if its children keep its output open."""


def run_tee(command: Sequence[str], environ: Mapping[str, str], kept: Path, terminal: BinaryIO) -> int:
    """Run a program to its end and return its exit status; 128 + n if signal n killed it.

    The program gets a session of its own, so that only this process interrupts it: Ctrl-C, SIGTERM and the
    stop of a systemd service each reach it as one SIGINT.

    Args:
        command: The program and its arguments.
        environ: Its environment.
        kept: The file for its output; it must not exist yet.
        terminal: The terminal for its output; errors of a closed terminal are ignored.
    """
    read_end, write_end = os.pipe()
    copier = threading.Thread(target=_copy, args=(read_end, kept, terminal), name="console copy", daemon=True)
    with _interrupts():
        process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(write_end)
        copier.start()
        status = _wait(process)
    copier.join(timeout=_LATE_OUTPUT_S)
    return status if status >= 0 else 128 - status


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return wait_and_handle_signals(process)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def _copy(read_end: int, path: Path, terminal: BinaryIO) -> None:
    """Copy the output to file and terminal, as long as they take it; the program must never wait for them."""
    with os.fdopen(read_end, "rb", buffering=0) as pipe, _opened(path) as kept:
        sinks = [kept, terminal]
        while chunk := pipe.read(65536):
            sinks = [sink for sink in sinks if _write(chunk, sink)]


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("xb", buffering=0)
    except OSError:  # the disk is full: the output goes to the terminal only
        return io.BytesIO()


def _write(chunk: bytes, sink: BinaryIO) -> bool:
    """Return True if all bytes were written; a full disk or a closed terminal takes none."""
    with contextlib.suppress(OSError, ValueError):
        sink.write(chunk)
        sink.flush()
        return True
    return False


def _interrupts() -> AbstractContextManager[None]:
    """Let Ctrl-C and SIGTERM interrupt this process, also if it was started with them ignored."""
    return handled_by(signal.default_int_handler, (signal.SIGINT, signal.SIGTERM))
