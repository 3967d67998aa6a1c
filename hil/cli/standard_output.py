"""Standard output and error, whose reader may leave or stall: the command goes on, with its own exit status.

A command that has a board must not end in the middle because `head` has seen enough; and a reader that takes
nothing, as `less` does, must not keep a command from ending that a signal has asked to end.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import ClassVar, Final, TextIO

__all__ = ["stop_waiting_for_readers", "tolerate_closed_output"]

_PIECE_BYTES: Final = 4096
"""A pipe that can be written to takes at least so many bytes without blocking (PIPE_BUF, pipe(7))."""

_LOOK_MS: Final = 200


def tolerate_closed_output() -> None:
    """Let this process go on where the reader of its output leaves, or stalls until a signal comes."""
    sys.stdout, sys.stderr = (
        _let_leave(sys.stdout, "standard output"),
        _let_leave(sys.stderr, "standard error"),
    )


def stop_waiting_for_readers() -> None:
    """Wait for no reader any more; a signal has asked the process to end."""
    _Output.is_ending = True


def _let_leave(stream: TextIO, called: str) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # closed, or not Python's own
        return stream
    stream.flush()
    output: io.RawIOBase = _Output(stream.fileno(), called)
    buffered = io.BufferedWriter(output)
    return io.TextIOWrapper(
        buffered, stream.encoding, stream.errors, line_buffering=stream.line_buffering or stream.isatty()
    )


class _Output(io.FileIO):
    """A descriptor that takes all bytes, whether its reader does or not.

    Args:
        descriptor: Of the stream. It stays open, and in blocking mode: other processes may share it.
        called: What errors call it.

    Attributes:
        is_ending: Whether a signal has asked the process to end.
    """

    is_ending: ClassVar[bool] = False

    def __init__(self, descriptor: int, called: str) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._called = called
        self._is_refused = False
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]  # any buffer
        """Write a piece of the bytes; drop all of them if no program takes them.

        Raises:
            OSError: They are refused, as by a full disk; once.
            KeyboardInterrupt: A signal came while their reader stalled.
        """
        try:
            while not self._is_refused and not self._room.poll(_LOOK_MS):
                self._is_refused = self.is_ending
            return len(data) if self._is_refused else os.write(self.fileno(), memoryview(data)[:_PIECE_BYTES])
        except KeyboardInterrupt:
            stop_waiting_for_readers()
            raise
        except BrokenPipeError:
            self._is_refused = True
            return len(data)
        except OSError as error:
            self._is_refused = True
            raise OSError(error.errno, error.strerror, self._called) from error
