"""A program whose output goes to the terminal and to a file, and that hears each Ctrl-C once."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["run_tee"]

_REST_S = 5.0
"""How long what a program has left behind may keep its output open."""


def run_tee(command: Sequence[str], environ: Mapping[str, str], kept: Path, terminal: BinaryIO) -> int:
    """Run a program to its end and return its exit status; 128 + n if signal n killed it.

    It has a session of its own, so that nothing but this process interrupts it: Ctrl-C, SIGTERM and the stop
    of a systemd service reach it as one SIGINT each.

    Args:
        command: The program and its arguments.
        environ: Its environment.
        kept: The file; it must not be there yet.
        terminal: Where its output is shown; one that has gone away is no trouble.
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
    copier.join(timeout=_REST_S)
    return status if status >= 0 else 128 - status


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def _copy(read_end: int, path: Path, terminal: BinaryIO) -> None:
    """Pass on what comes, to whichever of the two still takes it; the program must never wait for them."""
    with os.fdopen(read_end, "rb", buffering=0) as pipe, _opened(path) as kept:
        takers = [kept, terminal]
        while chunk := pipe.read(65536):
            takers = [taker for taker in takers if _write(chunk, taker)]


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("xb", buffering=0)
    except OSError:  # a full disk: what is shown is all there is
        return io.BytesIO()


def _write(chunk: bytes, taker: BinaryIO) -> bool:
    """Whether all of it was taken; a full disk or a terminal that went away takes nothing any more."""
    with contextlib.suppress(OSError, ValueError):
        taker.write(chunk)
        taker.flush()
        return True
    return False


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM interrupt this process, also where it was started deaf to them."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
