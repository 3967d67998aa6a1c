"""Where `hil console` shows what comes: a terminal, a pipe or a file, JSON, a transcript."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, TextIO

from hil.cli.terminal_modes import TerminalModes
from hil.dutlink.console.board_shell import dut_output
from hil.dutlink.console.ci_commands import CiCommandFilter
from hil.dutlink.console.sanitize import SanitizingDecoder, sanitize_text
from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.timestamped_log import TimestampedLog
from hil.regular_file import nonblocking_opener

if TYPE_CHECKING:
    from pathlib import Path

    from hil.cli.commands.console_output import ConsoleOutput
    from hil.dutlink.console.transcript import Event

__all__ = [
    "ConsoleSink",
    "DutByteFilter",
    "JsonSink",
    "PlainTextSink",
    "RawFileSink",
    "TerminalSink",
    "TimestampedFileSink",
]

_STALLED_S: Final = 0.3
"""How long a terminal that stalls may take for the DUT's last bytes, in seconds."""


class ConsoleSink(Protocol):
    """Shows what comes."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class DutByteFilter:
    """Take the DUT's bytes from events; the talk of hil with the board's shell is left out."""

    def __init__(self) -> None:
        self._held: bytes | None = None

    def of(self, event: Event) -> bytes:
        """Return the DUT's bytes in an event; those of a talk that goes on come with its end."""
        if isinstance(event, Mark):
            if event.kind is MarkKind.BLIND:
                self._held = self._held or b""
            return self.rest() if event.kind in {MarkKind.HEARD, MarkKind.UNSURE} else b""
        if self._held is None:
            return event.data
        self._held += event.data
        return b""

    def rest(self) -> bytes:
        """Return what is held back, when nothing more will come."""
        held, self._held = self._held, None
        return dut_output(held or b"")


class TerminalSink:
    """A terminal gets the DUT's bytes as they are: it is what a console is for."""

    def __init__(self, output: ConsoleOutput) -> None:
        self._output = output
        self._modes = TerminalModes()
        self._dut = DutByteFilter()

    def show(self, event: Event) -> None:
        """Write the bytes; tell which of them are old."""
        self._write(self._dut.of(event))
        if isinstance(event, Mark) and event.kind is MarkKind.OPENED:
            self._write(f"\r\nhil: {event.text}\r\n".encode())

    def _write(self, data: bytes) -> None:
        self._modes.feed(data)
        self._output.write(data)

    def close(self) -> None:
        """Leave the terminal as one that the DUT has not touched, before what it has not taken yet."""
        self._write(self._dut.rest())
        if not self._output.flush(_STALLED_S):
            self._output.drop()
        self._output.write(self._modes.undo())


class PlainTextSink:
    """A pipe or a file gets plain text, in which a CI that reads it finds no command."""

    def __init__(self, output: ConsoleOutput) -> None:
        self._output = output
        self._text = SanitizingDecoder()
        self._commands = CiCommandFilter()
        self._dut = DutByteFilter()

    def show(self, event: Event) -> None:
        """Write what is certain to be text."""
        self._output.write(self._commands.feed(self._text.feed(self._dut.of(event))))

    def close(self) -> None:
        """Write the rest."""
        rest = self._text.feed(self._dut.rest()) + self._text.finish()
        self._output.write(self._commands.feed(rest) + self._commands.finish())


class JsonSink:
    """One JSON object a line: `bytes` with `base64` and as plain `text`; `mark` for what was done; `end`."""

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
        """Write that it ended, with the text that was held back."""
        self._write({"event": "end", "time_s": time.time(), "text": self._text.finish()})

    def _write(self, facts: dict[str, object]) -> None:
        self._output.write(json.dumps(facts) + "\n")


class RawFileSink:
    """A file gets every byte."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "wb", opener=nonblocking_opener)  # noqa: SIM115 - pathlib takes no opener

    def show(self, event: Event) -> None:
        """Write the bytes."""
        if isinstance(event, Chunk):
            self._file.write(event.data)
            self._file.flush()

    def close(self) -> None:
        """Close it."""
        self._file.close()


class TimestampedFileSink:
    """A file gets lines with times."""

    def __init__(self, path: Path, title: str) -> None:
        self._file: TextIO = open(  # noqa: SIM115 - as above
            path, "w", encoding="utf-8", opener=nonblocking_opener
        )
        self._lines = TimestampedLog(self._file, time.monotonic())
        self._lines.write_header(title)

    def show(self, event: Event) -> None:
        """Write what makes whole lines."""
        self._lines.add(event)
        self._file.flush()

    def close(self) -> None:
        """Write the rest and close it."""
        if not self._file.closed:
            with self._file:
                self._lines.finish()
