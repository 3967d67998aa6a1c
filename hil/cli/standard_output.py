"""Standard output and error whose reader may end or stall, without effect on the command's exit status.

A command that uses a board must not end in the middle because its reader, such as `head`, has ended. A reader
that stalls, such as `less`, must not delay the end of a command after a signal.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import ClassVar, Final, TextIO

__all__ = ["PIPE_BYTES", "stop_waiting_for_readers", "tolerate_closed_output"]

PIPE_BYTES: Final = 4096
"""Number of bytes that a writable pipe takes without blocking (PIPE_BUF, pipe(7))."""

_LOOK_MS: Final = 200


def tolerate_closed_output() -> None:
    """Let this process continue if the reader of its output ends, or stalls until a signal comes."""
    sys.stdout, sys.stderr = (
        _let_leave(sys.stdout, "standard output"),
        _let_leave(sys.stderr, "standard error"),
    )


def stop_waiting_for_readers() -> None:
    """Stop waiting for readers, because a signal has requested the end of the process."""
    _Output.is_ending = True


def _let_leave(stream: TextIO, called: str) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # closed or replaced
        return stream
    stream.flush()
    output: io.RawIOBase = _Output(stream.fileno(), called)
    buffered = io.BufferedWriter(output)
    by_lines = (
        stream.line_buffering or stream.write_through or stream.isatty()
    )  # write_through: PYTHONUNBUFFERED
    return io.TextIOWrapper(buffered, stream.encoding, stream.errors, line_buffering=by_lines)


class _Output(io.FileIO):
    """A file that takes all bytes, even if its reader does not.

    Args:
        descriptor: File descriptor of the stream. It stays open and in blocking mode, because other processes
            may share it.
        called: Name of the stream in errors.

    Attributes:
        is_ending: Whether a signal has requested the end of the process.
    """

    is_ending: ClassVar[bool] = False

    def __init__(self, descriptor: int, called: str) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._called = called
        self._is_refused = False
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]  # any buffer
        """Write a part of the bytes; drop all of them if no program reads them.

        Raises:
            OSError: The write failed, as on a full disk. Raised once.
            KeyboardInterrupt: A signal came while the reader stalled.
        """
        try:
            while not self._is_refused and not self._room.poll(_LOOK_MS):
                self._is_refused = self.is_ending
            return len(data) if self._is_refused else os.write(self.fileno(), memoryview(data)[:PIPE_BYTES])
        except KeyboardInterrupt:
            stop_waiting_for_readers()
            raise
        except BrokenPipeError:
            self._is_refused = True
            return len(data)
        except OSError as error:
            self._is_refused = True
            raise OSError(error.errno, error.strerror, self._called) from error
