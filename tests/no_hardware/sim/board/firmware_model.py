"""A model of a board's firmware, written only from its source; it uses no code of the simulated board.

The source is github.com/jumpstarter-dev/dutlink-firmware at commit 186facd, folder application/src; each
fact names its file and line there. Left out: the standard requests, the shell's line editor, and time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

__all__ = ["Firmware", "MovingAverage", "raw_amps", "raw_volts", "words_of"]

STALL = -32
SIZES = {"name": 64, "tags": 256, "usb_console": 64, "power_on": 32, "power_off": 32, "power_rescue": 32}
KEYS = list(SIZES)  # control.rs:51, ConfigKey
SIZES_IN_FLASH = {**SIZES, "json": 512}  # config.rs:17-26
BLOCKS = 16  # config.rs:110
PINS = ["reset", "a", "b", "c", "d"]  # control.rs:71, SetPin
LEVELS = ["low", "high", "floating"]  # control.rs:81, SetPinState
PROMPT, CR = "#> ", "\r\n"  # shell.rs:28-29
LETTERS = {"l": "low", "h": "high", "z": "floating"}  # shell.rs:261
SHOWN = {"l": "LOW", "h": "HIGH", "z": "HIGH IMPEDANCE"}  # shell.rs:254
PIN_SHOWN = {"r": "/RESET", "a": "CTL_A", "b": "CTL_B", "c": "CTL_C", "d": "CTL_D"}  # shell.rs:245
ESCAPES = {
    0x5C: 0x5C,
    0x6E: 0x0A,
    0x72: 0x0D,
    0x74: 0x09,
    0x61: 0x07,
    0x62: 0x08,
    0x65: 0x1B,
    0x63: 0x03,
    0x64: 0x04,
}


def to_float32(value: float) -> float:
    """Round as an f32 does."""
    number: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return number


class MovingAverage:
    """filter.rs:15-37."""

    def __init__(self) -> None:
        self.values = [0.0] * 200  # filter.rs:7
        self.sum = 0.0

    def feed(self, value: float) -> None:
        self.sum = to_float32(self.sum - self.values.pop(0))  # filter.rs:23
        self.values.append(value)
        self.sum = to_float32(self.sum + value)  # filter.rs:26

    def get(self) -> float:
        return to_float32(self.sum / to_float32(200))  # filter.rs:33


def raw_amps(raw: int) -> float:
    """main.rs:455-456."""
    volts = to_float32(to_float32(to_float32(raw - 2048.0) * to_float32(3.3)) / 4096.0)
    return to_float32(-volts / to_float32(0.264))


def raw_volts(raw: int) -> float:
    """main.rs:460-464."""
    sensed = to_float32(to_float32(raw * to_float32(3.3)) / 4096.0)
    return to_float32(to_float32(sensed * to_float32(2400.0 + 470.0)) / 470.0)


def words_of(volts: float, amps: float) -> tuple[bytes, str]:
    """What the control request says of both averages (control.rs:314), and the shell (powermeter.rs:54)."""
    watts = to_float32(volts * amps)  # powermeter.rs:30
    return f"{watts:.2f}W {volts:.2f}V {amps:.2f}A".encode(), f"{amps:.2f}A {volts:.2f}V {watts:.2f}W"


class Answer:
    """An ArrayString of 512 bytes (shell.rs:77): a piece that does not fit is left out, with the rest."""

    def __init__(self) -> None:
        self.text = CR  # shell.rs:78

    def write(self, *pieces: str) -> None:
        for piece in pieces:
            if len(self.text) + len(piece) > 512:
                return
            self.text += piece


@dataclass
class Firmware:
    """One board. It has power; nothing is drawn, so that each reading is zero."""

    version: str
    blocks: list[dict[str, bytes]] = field(default_factory=list)
    erases: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Power came: all but the flash is as at first."""
        self.snapshot = dict.fromkeys(SIZES, b"")  # control.rs:113, ConfigBlock::new
        self.said_power = b"0.00W 0.00V 0.00A"  # control.rs:114
        self.on = self.supply = False  # ctlpins.rs:78
        self.stored = dict.fromkeys(PINS, "floating")  # ctlpins.rs:73
        self.driven = dict.fromkeys(PINS, "floating")
        self.mux = "off"  # main.rs:178
        self.console_mode, self.monitor, self.meter = True, False, False  # main.rs:226-228
        self.escapes = 0  # main.rs:346
        self.busy_s = 0.0

    # settings

    @property
    def settings(self) -> dict[str, bytes]:
        """The last valid block (config.rs:186)."""
        return self.blocks[-1] if self.blocks else dict.fromkeys(SIZES_IN_FLASH, b"")

    def store(self, key: str, value: bytes) -> None:
        """A fresh block, with the value cut to its field (config.rs:55-101, 139-158)."""
        changed = {**self.settings, key: value[: SIZES_IN_FLASH[key]]}
        if len(self.blocks) == BLOCKS:  # config.rs:146
            self.blocks.clear()
            self.erases += 1
        self.blocks.append(changed)

    # pins and power

    def drive(self, pin: str, level: str) -> None:
        """ctlpins.rs:230-264: high is only remembered while the DUT is off."""
        self.stored[pin] = level
        if self.on or level != "high":
            self.driven[pin] = level

    def power_on(self, program: bytes) -> None:
        """ctlpins.rs:266-278."""
        self.driven = dict(self.stored)
        if not program or program[0] == 0:
            self.supply = True
        else:
            self.run(program)
        self.on = True

    def power_off(self, program: bytes) -> None:
        """ctlpins.rs:280-291."""
        is_program = bool(program) and program[0] != 0
        if is_program:
            self.run(program)
        for pin in PINS:  # ctlpins.rs:137
            if self.stored[pin] == "high":
                self.driven[pin] = "floating"
        if not is_program:
            self.supply = False
        self.on = False

    def run(self, program: bytes) -> None:
        """ctlpins.rs:170-196; a field of the flash is padded with NULs."""
        at = 0
        while at + 1 < len(program):
            order, at = chr(program[at]), at + 1
            order = order.lower() if order.isascii() else order  # ctlpins.rs:155
            if order == "\0":
                break
            if order in "abcdr":
                level = chr(program[at]).lower() if program[at] < 128 else "?"
                self.driven["reset" if order == "r" else order] = LETTERS.get(level, "floating")  # :167
                at += 1
            elif order == "w":
                digits = 0
                while at < len(program) and chr(program[at]) in "0123456789":  # ctlpins.rs:201
                    digits, at = digits * 10 + program[at] - 48, at + 1
                self.busy_s += digits / 10
            elif order == "p":
                pw, at = program[at], at + 1
                (self.power_on if pw == ord("1") else self.power_off)(b"")  # ctlpins.rs:186

    def stored_program(self, key: str) -> bytes:
        return self.settings[key].ljust(SIZES[key], b"\0")

    # control requests

    def control_out(self, index: int, request: int, value: int, data: bytes) -> int:
        """Take a vendor request to an interface: the status (control.rs:358-420, 130-226)."""
        if index & 0xFF != 3:  # control.rs:367; no other interface knows vendor requests
            return STALL
        match request:
            case 0:  # control.rs:221
                self.snapshot = {key: self.settings[key] for key in KEYS}
            case 1 if value <= 4:
                self.power(value)
            case 2 if value <= 2:
                self.mux = ("off", "host", "dut")[value]  # control.rs:43, 184-196
            case 3 if value < len(KEYS):
                self.store(KEYS[value], data)  # control.rs:394
            case 5 if value < len(PINS) and data and data[0] <= 2:  # control.rs:402
                self.drive(PINS[value], LEVELS[data[0]])
            case _:
                return STALL
        return 0

    def power(self, action: int) -> None:
        """control.rs:165-183."""
        match action:
            case 0:
                self.power_off(self.stored_program("power_off"))
            case 1:
                self.power_on(self.stored_program("power_on"))
            case 2:
                self.power_off(b"")
            case 3:
                self.power_on(b"")
            case 4:
                self.power_on(self.stored_program("power_rescue"))

    def control_in(self, index: int, request: int, value: int, length: int) -> tuple[int, bytes]:
        """Answer a vendor request to an interface (control.rs:263-341)."""
        if index & 0xFF != 3:
            return STALL, b""
        if request == 3 and value < len(KEYS):
            return 0, self.snapshot[KEYS[value]].ljust(SIZES[KEYS[value]], b"\0")[:length]
        if request == 4 and value <= 3:
            told = [self.version.encode(), self.said_power, b"0.00V", b"0.00A"][value]
            return 0, told[:length]
        return STALL, b""

    # console and shell

    def typed(self, data: bytes) -> tuple[bytes, str]:
        """Take one packet in console mode: what the DUT gets, and what the host reads (main.rs:381-405)."""
        said = ""
        for byte in data:
            if byte == 0x02:  # main.rs:389
                self.escapes += 1
                if self.escapes == 5:
                    self.console_mode = self.monitor = False
                    said += "\r\nExiting console mode\r\n" + PROMPT
                    self.escapes = 0
            else:
                self.escapes = 0  # main.rs:399
        return (self.unescaped(data) if not self.console_mode else data), said

    def from_dut(self, data: bytes) -> bytes:
        """What the host reads of the DUT's output (main.rs:281, 324)."""
        if not (self.console_mode or self.monitor):
            return b""
        return data.replace(b"\r", b"\r0.00W> ") if self.meter else data

    def unescaped(self, data: bytes) -> bytes:
        """What leaves for the DUT while the shell is on (main.rs:500-513, 536-551)."""
        out, escaped = bytearray(), False
        for byte in data:
            if not escaped and byte == 0x5C:
                escaped = True
                continue
            if escaped and byte == 0x77:  # \w: a delay
                escaped = False
                continue
            out.append(ESCAPES.get(byte, byte) if escaped else byte)
            escaped = False
        return bytes(out)

    def line(self, text: str) -> tuple[bytes, str]:  # noqa: C901, PLR0912 - one branch a command
        """Do what a line of the shell says: what the DUT gets, what follows the echo (shell.rs:83-114)."""
        command, _, arguments = text.partition(" ")
        answer, before, to_dut = Answer(), "", b""
        match command:
            case "power":
                self.shell_power(answer, arguments)
            case "storage":
                self.shell_storage(answer, arguments)
            case "meter":
                self.shell_meter(answer, arguments)
            case "monitor":
                self.shell_monitor(answer, arguments)
            case "console" if not arguments:
                self.console_mode = True  # shell.rs:215
                answer.write("Entering console mode, type CTRL+B 5 times to exit")
            case "console":
                answer.write("usage: console")
            case "status" if not arguments:
                answer.write(f"Monitor: {str(self.monitor).lower()}, Meter: {str(self.meter).lower()}")
            case "status":
                answer.write("usage: status")
            case "version":
                answer.write(self.version)
            case "set":
                self.shell_set(answer, arguments)
            case "send" if arguments:
                to_dut = arguments.encode()  # shell.rs:153
            case "send":
                answer.write("usage: send string")
            case "set-config":
                self.shell_set_config(answer, arguments)
            case "get-config":
                self.shell_get_config(answer, arguments)
            case "":
                pass
            case _:
                before = f"{CR}unsupported command{CR}"  # shell.rs:104
        if len(answer.text) > 2:  # shell.rs:107
            answer.write(CR)
        if not self.console_mode:  # shell.rs:111
            answer.write(PROMPT)
        return (to_dut if self.console_mode else self.unescaped(to_dut)), before + answer.text

    def shell_power(self, answer: Answer, arguments: str) -> None:
        """shell.rs:123-146."""
        verbs = {
            "off": (0, "Device powered off"),
            "on": (1, "Device powered on"),
            "force-off": (2, "Device forced off"),
            "force-on": (3, "Device forced on"),
            "rescue": (4, "Device powered on to rescue"),
        }
        if arguments in verbs:
            action, words = verbs[arguments]
            self.power(action)
            answer.write(words)
        else:
            answer.write("usage: power on|off|force-on|force-off|rescue")

    def shell_storage(self, answer: Answer, arguments: str) -> None:
        """shell.rs:159-176."""
        words = {
            "dut": "storage connected to device under test",
            "host": "storage connected to host",
            "off": "storage disconnected",
        }
        if arguments in words:
            self.mux = arguments
        answer.write(words.get(arguments, "usage: storage dut|host|off"))

    def shell_meter(self, answer: Answer, arguments: str) -> None:
        """shell.rs:178-193."""
        words = {
            "on": "Power meter monitoring enabled",
            "read": "0.00A 0.00V 0.00W",
            "off": "Power monitor disabled",
        }
        if arguments in {"on", "off"}:
            self.meter = arguments == "on"
        answer.write(words.get(arguments, "usage: meter on|read|off"))

    def shell_monitor(self, answer: Answer, arguments: str) -> None:
        """shell.rs:195-208."""
        if arguments in {"on", "off"}:
            self.monitor = arguments == "on"
            answer.write("Monitor enabled" if self.monitor else "Monitor disabled")
        else:
            answer.write("usage: monitor on|off")

    def shell_set(self, answer: Answer, arguments: str) -> None:
        """shell.rs:222-281."""
        if (
            len(arguments) == 3
            and arguments[1] == " "
            and arguments[0] in PIN_SHOWN
            and arguments[2] in LETTERS
        ):
            pin, _, level = arguments
            self.drive("reset" if pin == "r" else pin, LETTERS[level])
            answer.write(f"Set {PIN_SHOWN[pin]} to {SHOWN[level]}")
        else:
            answer.write("usage: set r|a|b|c|d l|h|z")

    def shell_set_config(self, answer: Answer, arguments: str) -> None:
        """shell.rs:283-342."""
        words = arguments.split()
        if words and words[0] in SIZES_IN_FLASH:
            value = words[1] if len(words) > 1 else ""  # shell.rs:293
            self.store(words[0], value.encode())
            answer.write(f"Set {words[0]} to ", value)
        else:
            answer.write("usage: set-config name|tags|storage|usb_storage value")

    def shell_get_config(self, answer: Answer, arguments: str) -> None:
        """shell.rs:344-394."""
        order = ["name", "tags", "json", "usb_console", "power_on", "power_off", "power_rescue"]
        if arguments in order:
            answer.write(*self.settings[arguments].decode())
        elif not arguments:
            for key in order:
                answer.write(f"{'' if key == 'name' else CR}{key}: ")
                answer.write(*self.settings[key].decode())
        else:
            answer.write("usage: get-config [name|tags|json|usb_console|power_on|power_off|power_rescue]")
