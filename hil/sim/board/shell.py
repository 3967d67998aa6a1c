"""The board's shell: it reads commands from the serial port and writes answers (firmware: shell.rs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.sim.board import shell_text as text
from hil.sim.board.line_editor import LineEditor
from hil.sim.board.settings_flash import Field
from hil.sim.interfaces import ControlPin, MuxPosition, PinLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.sim.board.cpu import Task
    from hil.sim.board.serial_port import SerialPort
    from hil.sim.board.vendor_requests import BoardFunctions

__all__ = ["ANSWER_BYTES", "AnswerBuffer", "Commands", "Shell", "ShellStatus"]

ANSWER_BYTES: Final = 512

_FIELDS: Final = {field.label: field for field in Field}
_LISTED: Final = (
    Field.NAME,
    Field.TAGS,
    Field.JSON,
    Field.USB_CONSOLE,
    Field.POWER_ON,
    Field.POWER_OFF,
    Field.POWER_RESCUE,
)
_POWER: Final = {
    "on": "Device powered on",
    "off": "Device powered off",
    "force-off": "Device forced off",
    "force-on": "Device forced on",
    "rescue": "Device powered on to rescue",
}
_STORAGE: Final = {
    "dut": (MuxPosition.DUT, "storage connected to device under test"),
    "host": (MuxPosition.HOST, "storage connected to host"),
    "off": (MuxPosition.OFF, "storage disconnected"),
}
_PINS: Final = {
    "r": (ControlPin.RESET, "/RESET"),
    "a": (ControlPin.A, "CTL_A"),
    "b": (ControlPin.B, "CTL_B"),
    "c": (ControlPin.C, "CTL_C"),
    "d": (ControlPin.D, "CTL_D"),
}
_LEVELS: Final = {
    "l": (PinLevel.LOW, "LOW"),
    "h": (PinLevel.HIGH, "HIGH"),
    "z": (PinLevel.FLOATING, "HIGH IMPEDANCE"),
}


@dataclass(slots=True)
class ShellStatus:
    """State that console mode and the shell share.

    Attributes:
        console_mode: Whether the port is the DUT's UART; otherwise it is the shell.
        monitor: Whether the shell shows the DUT's output.
        meter: Whether a power reading follows each CR of the DUT's output.
    """

    console_mode: bool = True
    monitor: bool = False
    meter: bool = False


class AnswerBuffer:
    """An answer of at most 512 bytes.

    A piece that does not fit is left out; later, shorter pieces may fit.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.write(text.CR)

    def __len__(self) -> int:
        return len(self._bytes)

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)

    def write(self, *pieces: str) -> None:
        """Append pieces in order until one does not fit."""
        for piece in pieces:
            encoded = piece.encode()
            if len(self._bytes) + len(encoded) > ANSWER_BYTES:
                return
            self._bytes += encoded

    def write_setting(self, value: bytes) -> None:
        """Append a setting character by character, each byte as the Latin-1 character of that number."""
        for byte in value:
            self.write(chr(byte))


class Commands:
    """The commands that fill an answer.

    Args:
        functions: Board functions that commands call.
        status: Console mode, monitor and meter.
        send: Function that queues bytes for the DUT.
    """

    def __init__(self, functions: BoardFunctions, status: ShellStatus, send: Callable[[bytes], None]) -> None:
        self._functions = functions
        self._status = status
        self._send = send
        self._by_name: dict[str, Callable[[AnswerBuffer, str], None]] = {
            "about": self._about,
            "console": self._console,
            "monitor": self._monitor,
            "meter": self._meter,
            "storage": self._storage,
            "send": self._send_text,
            "set": self._set,
            "set-config": self._set_config,
            "get-config": self._get_config,
            "status": self._show_status,
            "version": lambda answer, _arguments: answer.write(*self._version()),
            "": lambda _answer, _arguments: None,
        }

    def run(self, name: str, answer: AnswerBuffer, arguments: str) -> Task:
        """Run a command; raise KeyError if there is none of this name."""
        if name == "power":
            yield from self._power(answer, arguments)
        else:
            self._by_name[name](answer, arguments)

    def knows(self, name: str) -> bool:
        """Return True if `run` has a command of this name."""
        return name == "power" or name in self._by_name

    def _version(self) -> Iterator[str]:
        version, words, git_ref = self._functions.version.partition(" git-ref: ")
        yield from (version, words, git_ref)

    def _about(self, answer: AnswerBuffer, _arguments: str) -> None:
        answer.write(text.ABOUT_HEAD)
        answer.write(*self._version())
        answer.write(text.ABOUT_TAIL)

    def _console(self, answer: AnswerBuffer, arguments: str) -> None:
        if arguments:
            answer.write("usage: console")
        else:
            self._status.console_mode = True
            answer.write("Entering console mode, type CTRL+B 5 times to exit")

    def _monitor(self, answer: AnswerBuffer, arguments: str) -> None:
        if arguments not in {"on", "off"}:
            answer.write("usage: monitor on|off")
            return
        self._status.monitor = arguments == "on"
        answer.write("Monitor enabled" if self._status.monitor else "Monitor disabled")

    def _meter(self, answer: AnswerBuffer, arguments: str) -> None:
        match arguments:
            case "on":
                self._status.meter = True
                answer.write("Power meter monitoring enabled")
            case "read":
                reading = self._functions.meter.read()
                answer.write(f"{reading.amps_text()} {reading.volts_text()} {reading.watts_text()}")
            case "off":
                self._status.meter = False
                answer.write("Power monitor disabled")
            case _:
                answer.write("usage: meter on|read|off")

    def _storage(self, answer: AnswerBuffer, arguments: str) -> None:
        if arguments not in _STORAGE:
            answer.write("usage: storage dut|host|off")
            return
        position, words = _STORAGE[arguments]
        self._functions.switch_storage(position)
        answer.write(words)

    def _power(self, answer: AnswerBuffer, arguments: str) -> Task:
        if arguments not in _POWER:
            answer.write("usage: power on|off|force-on|force-off|rescue")
            return
        yield from self._functions.power(arguments)
        answer.write(_POWER[arguments])

    def _send_text(self, answer: AnswerBuffer, arguments: str) -> None:
        if arguments:
            self._send(arguments.encode())
        else:
            answer.write("usage: send string")

    def _set(self, answer: AnswerBuffer, arguments: str) -> None:
        pin, space, level = arguments[:1], arguments[1:2], arguments[2:]
        if pin not in _PINS or space != " " or level not in _LEVELS:
            answer.write("usage: set r|a|b|c|d l|h|z")
            return
        self._functions.pins.set(_PINS[pin][0], _LEVELS[level][0])
        answer.write("Set ", _PINS[pin][1], " to ", _LEVELS[level][1])

    def _set_config(self, answer: AnswerBuffer, arguments: str) -> None:
        """Set the named field to one word. No word clears it; further words are ignored."""
        words = [word for word in arguments.split(" ") if word]
        field = _FIELDS.get(words[0]) if words else None
        if field is None:
            answer.write("usage: set-config name|tags|storage|usb_storage value")
            return
        value = words[1] if len(words) > 1 else ""
        self._functions.store(field, value.encode())
        answer.write(f"Set {field.label} to ", value)

    def _get_config(self, answer: AnswerBuffer, arguments: str) -> None:
        settings = self._functions.settings_flash.current()
        if arguments in _FIELDS:
            answer.write_setting(settings.text(_FIELDS[arguments]))
        elif arguments:
            answer.write("usage: get-config [name|tags|json|usb_console|power_on|power_off|power_rescue]")
        else:
            for number, field in enumerate(_LISTED):
                answer.write(f"{text.CR if number else ''}{field.label}: ")
                answer.write_setting(settings.text(field))

    def _show_status(self, answer: AnswerBuffer, arguments: str) -> None:
        if arguments:
            answer.write("usage: status")
            return
        monitor, meter = str(self._status.monitor).lower(), str(self._status.meter).lower()
        answer.write("Monitor: ", monitor, ", Meter: ", meter)


_BARE_ANSWER_BYTES = 2
"""Size of an answer that holds only its first line break."""


class Shell:
    """The shell on the board's serial port.

    Args:
        port: Serial port for input and answers.
        status: Shared state; in console mode the shell prints no prompt.
        commands: Commands of the shell.
    """

    def __init__(self, port: SerialPort, status: ShellStatus, commands: Commands) -> None:
        self._port = port
        self._status = status
        self._commands = commands
        self._editor = LineEditor(text.COMMANDS)

    def work(self) -> Task:
        """Read all bytes that the port has, also those after a `console` command."""
        while byte := self._port.read(1):
            echo, line = self._editor.feed(byte[0])
            yield from self._port.write_all(echo)
            if line is not None:
                yield from self._run(line)

    def _run(self, line: str) -> Task:
        name, _, arguments = line.partition(" ")
        answer = AnswerBuffer()
        if self._commands.knows(name):
            yield from self._commands.run(name, answer, arguments)
        else:
            yield from self._port.write_all(self._direct(name).encode())
        if len(answer) > _BARE_ANSWER_BYTES:
            answer.write(text.CR)
        if not self._status.console_mode:
            answer.write(text.PROMPT)
        yield from self._port.write_all(bytes(answer))

    def _direct(self, name: str) -> str:
        """Return the output that is not limited to the answer's 512 bytes."""
        if name == "help":
            return text.HELP
        if name == "clear":
            self._editor.clear()
            return text.CLEAR_SCREEN
        return text.UNSUPPORTED
