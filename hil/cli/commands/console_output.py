"""Output of `hil console`: sinks for terminal, plain text, JSON and files, and writes that never block."""

from __future__ import annotations

import base64
import json
import os
import select
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, TextIO

from hil.cli.commands.console_terminal import TerminalModes
from hil.cli.standard_output import PIPE_BYTES
from hil.dutlink.console.board_shell import dut_output
from hil.dutlink.console.sanitize import CiCommandFilter, SanitizingDecoder, sanitize_text
from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.dutlink.timing import Deadline
from hil.evidence.timestamped_log import TimestampedLog
from hil.regular_file import nonblocking_opener

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.console.transcript import Event

__all__ = [
    "ConsoleOutput",
    "ConsoleSink",
    "DutByteFilter",
    "JsonSink",
    "PlainTextSink",
    "RawFileSink",
    "TerminalSink",
    "TimestampedFileSink",
]

_STALLED_S: Final = 0.3
"""Time for a stalled terminal to take the last bytes, in seconds."""

_REOPEN_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class ConsoleOutput:
    """An open file, pipe or terminal, with a buffer of bytes that it has not taken yet.

    Args:
        descriptor: Its file descriptor. It stays open and in blocking mode, because other processes may share
            it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._writer, self._piece_bytes = _writer(descriptor)
        self._rest = b""
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def close(self) -> None:
        """Close the descriptor that was opened for non-blocking writes; the original one stays open."""
        if self._writer != self.descriptor:
            os.close(self._writer)
            self._writer = self.descriptor

    def write(self, data: bytes | str) -> None:
        """Buffer bytes or text until the next `flush`."""
        self._rest += data.encode(errors="replace") if isinstance(data, str) else data

    def drop(self) -> None:
        """Drop the buffered bytes, also those in the terminal's driver."""
        self._rest = b""
        with suppress(termios.error):
            termios.tcflush(self.descriptor, termios.TCOFLUSH)

    def flush(self, limit_s: float = 0.0) -> bool:
        """Write buffered bytes, waiting up to `limit_s` seconds for room.

        Returns:
            True if the buffer is empty.

        Raises:
            OSError: The write failed, or the reader has ended.
        """
        deadline = Deadline(limit_s)
        while self._rest:
            if not self._room.poll(deadline.left_s * 1000):
                return False
            try:
                self._rest = self._rest[os.write(self._writer, self._rest[: self._piece_bytes]) :]
            except BlockingIOError:  # a terminal may have room for less than one character
                if deadline.passed:
                    return False
        return True


def _writer(descriptor: int) -> tuple[int, int]:
    """Return a descriptor for writing, and the number of bytes that do not block.

    A writable terminal may have room for only one byte, so it is opened again in non-blocking mode. If that
    is not allowed (a terminal of another user, after su), it gets bytes one by one.
    """
    if not os.isatty(descriptor):
        return descriptor, PIPE_BYTES
    try:
        return os.open(f"/proc/self/fd/{descriptor}", _REOPEN_FLAGS), PIPE_BYTES
    except OSError:
        return descriptor, 1


class ConsoleSink(Protocol):
    """A sink for console events."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def close(self) -> None:
        """Write the rest; no event follows."""
        ...


class DutByteFilter:
    """Extracts the DUT's bytes from events, without the dialog of hil with the board's shell."""

    def __init__(self) -> None:
        self._held: bytes | None = None

    def of(self, event: Event) -> bytes:
        """Return the DUT's bytes of an event; bytes during such a dialog come at its end."""
        if isinstance(event, Mark):
            if event.kind is MarkKind.BLIND:
                self._held = self._held or b""
            return self.rest() if event.kind in {MarkKind.HEARD, MarkKind.UNSURE} else b""
        if self._held is None:
            return event.data
        self._held += event.data
        return b""

    def rest(self) -> bytes:
        """Return the bytes of an unfinished dialog, at the end of all events."""
        held, self._held = self._held, None
        return dut_output(held or b"")


class TerminalSink:
    """Writes the DUT's bytes unchanged to a terminal, and restores the terminal at the end."""

    def __init__(self, output: ConsoleOutput) -> None:
        self._output = output
        self._modes = TerminalModes()
        self._dut = DutByteFilter()

    def show(self, event: Event) -> None:
        """Write the bytes, and mark those that may be old."""
        self._write(self._dut.of(event))
        if isinstance(event, Mark) and event.kind is MarkKind.OPENED:
            self._write(f"\r\nhil: {event.text}\r\n".encode())

    def _write(self, data: bytes) -> None:
        self._modes.feed(data)
        self._output.write(data)

    def close(self) -> None:
        """Restore the terminal; drop bytes that it does not take in time."""
        self._write(self._dut.rest())
        if not self._output.flush(_STALLED_S):
            self._output.drop()
        self._output.write(self._modes.undo())


class PlainTextSink:
    """Writes plain text to a pipe or file, without commands for a CI system that reads it."""

    def __init__(self, output: ConsoleOutput) -> None:
        self._output = output
        self._text = SanitizingDecoder()
        self._commands = CiCommandFilter()
        self._dut = DutByteFilter()

    def show(self, event: Event) -> None:
        """Write the bytes that are complete text, and mark those that may be old."""
        self._write(self._text.feed(self._dut.of(event)))
        if isinstance(event, Mark) and event.kind is MarkKind.OPENED:
            self._write(f"\nhil: {event.text}\n")

    def close(self) -> None:
        """Write the rest."""
        self._write(self._text.feed(self._dut.rest()) + self._text.finish())
        self._output.write(self._commands.finish())

    def _write(self, text: str) -> None:
        self._output.write(self._commands.feed(text))


class JsonSink:
    """Writes one JSON object a line: `bytes` as `base64` and plain `text`, `mark` for acts, `end`."""

    def __init__(self, output: ConsoleOutput) -> None:
        self._output = output
        self._text = SanitizingDecoder()

    def show(self, event: Event) -> None:
        """Write one event."""
        facts: dict[str, object] = {
            "event": "bytes" if isinstance(event, Chunk) else "mark",
            "monotonic_s": event.monotonic_s,
            "time_s": event.time_s,
            "offset": event.position,
        }
        if isinstance(event, Chunk):
            encoded = base64.b64encode(event.data).decode()
            facts |= {"size": len(event.data), "text": self._text.feed(event.data), "base64": encoded}
        else:
            facts["text"] = sanitize_text(str(event))
        self._write(facts)

    def close(self) -> None:
        """Write the end, with the text that was held back."""
        self._write({"event": "end", "time_s": time.time(), "text": self._text.finish()})

    def _write(self, facts: dict[str, object]) -> None:
        self._output.write(json.dumps(facts) + "\n")


class RawFileSink:
    """Appends all bytes to a file."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "ab", opener=nonblocking_opener)  # noqa: SIM115 - pathlib takes no opener

    def show(self, event: Event) -> None:
        """Write the bytes."""
        if isinstance(event, Chunk):
            self._file.write(event.data)
            self._file.flush()

    def close(self) -> None:
        """Close it."""
        self._file.close()


class TimestampedFileSink:
    """Appends lines with times to a file."""

    def __init__(self, path: Path, title: str) -> None:
        self._file: TextIO = open(  # noqa: SIM115 - pathlib takes no opener
            path, "a", encoding="utf-8", opener=nonblocking_opener
        )
        self._lines = TimestampedLog(self._file, time.monotonic())
        self._lines.write_header(title)

    def show(self, event: Event) -> None:
        """Write complete lines."""
        self._lines.add(event)
        self._file.flush()

    def close(self) -> None:
        """Write the rest and close it."""
        if not self._file.closed:
            with self._file:
                self._lines.finish()
