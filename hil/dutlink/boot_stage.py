"""Tell from a console's last lines whether a boot loader or a system runs, and whether Enter may be pressed.

A boot loader that counts down takes any byte for a key, even one that was sent before the countdown. So
`login` types nothing until a system has printed something since the DUT's last start, or until the DUT has
been silent for longer than it is during any start.
"""

from __future__ import annotations

import enum
import re
import time
from typing import TYPE_CHECKING, Final

from hil.dutlink.prompt import at_the_end
from hil.dutlink.questions import LOGIN_PROMPT, PASSWORD
from hil.dutlink.shell_escapes import last_line, without_escapes

if TYPE_CHECKING:
    from hil.dutlink.expecting import Pattern
    from hil.dutlink.transcript import Transcript

__all__ = ["LOADER_SILENT_S", "SILENT_S", "Stage", "boot_prompt", "may_press_enter", "stage_of"]

SILENT_S = 10.0
"""Seconds of silence after which a DUT that has printed nothing yet is taken to wait at its login prompt."""

LOADER_SILENT_S = 30.0
"""The same if the last words are a boot loader's: training memory and loading images take long."""

_LOOKED_AT_BYTES: Final = 64 * 1024
_START: Final = re.compile(r"power (?:on|force-on|rescue)(?:;|$)|reset low$")
_OPEN: Final = re.compile(r"console .* is open$")
"""Notes in the transcript, in the words of `Power`, `Pins` and `Console`."""


class Stage(enum.Enum):
    """Which program of the DUT printed the last line that tells, since the DUT's last start."""

    UNKNOWN = "nothing that tells a boot loader from a system"
    STARTING = "the words of a system that restarts"
    LOADER = "a boot loader's words"
    COUNTDOWN = "a boot loader's countdown (autoboot)"
    SYSTEM = "a system's words"


def _any_of(*words: bytes) -> re.Pattern[bytes]:
    return re.compile(b"|".join(words))


_RESTART: Final = _any_of(
    rb"reboot: ",
    rb"Restarting system",
    rb"system is going down",
    rb"System is rebooting",
    rb"Requesting system reboot",
    rb"^Rebooting",
    rb"^resetting",
)
_SYSTEM: Final = _any_of(
    rb"^(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]{6}\]",
    rb"^\[ *(?:OK|FAILED|DEPEND|INFO|WARN) *\] ",
    rb"Starting kernel",
    rb"Uncompressing Linux",
    rb"Linux version ",
    rb"Booting Linux",
    rb"^Starting (?:version|systemd-udevd)",
    rb"^Welcome to (?!GRUB)",
    rb"systemd\[1\]",
    rb"^INIT: ",
    rb"^init: ",
    rb"procd: ",
    rb"activate this console",
    rb"Booting Zephyr",
    rb"NuttShell",
    rb"^Copyright \(c\) 1992-",
    rb"for maintenance",
    LOGIN_PROMPT,
    PASSWORD + rb"\Z",
)
_COUNTDOWN: Final = _any_of(
    rb"(?i:autoboot)",
    rb"(?i:any key)",
    rb"(?i:(?:press|hit) .{0,40}\bto (?:stop|abort|interrupt|enter|cancel|break|boot))",
    rb"(?i:boot(?:ing)? in [0-9]+)",
)
_LOADER: Final = _any_of(
    rb"U-Boot",
    rb"\bSPL\b",
    rb"barebox",
    rb"GRUB",
    rb"Trusted Firmware",
    rb"\bBL(?:[123]|31|32|33)\b",
    rb"coreboot",
    rb"EDK II",
    rb"BIOS",
    rb"UEFI",
    rb"RedBoot",
    rb"AT91Bootstrap",
    rb"(?i:rom ?boot|boot ?rom)",
    rb"ESP-ROM",
    rb"iPXE",
    rb"CFE version",
    rb"^(?:LP)?DDR",
    rb"^DRAM:",
    rb"^Training",
    rb"^Loading Environment",
)
_NAMED_PROMPTS: Final = (
    ("U-Boot", rb"=> ?"),
    ("U-Boot", rb"(?i:[\w. -]*u-?boot[\w. -]*)[>#$]+ ?"),
    ("U-Boot", rb"(?:Zynq(?:MP)?|STM32MP|Marvell|Versal)>+ ?"),
    ("barebox", rb"barebox(?:@[^\n]*)?[:>#$/] ?"),
    ("GRUB", rb"grub(?: rescue)?> ?"),
    ("the UEFI shell", rb"(?:Shell|FS[0-9]+:[^\n]*)> ?"),
    ("RedBoot", rb"RedBoot> ?"),
    ("CFE", rb"CFE> ?"),
    ("iPXE", rb"iPXE> ?"),
    ("a boot loader", rb"(?:boot|rescue|loader|hush|Boot|LOADER|OK|ok)> ?|(?:OK|ok) "),
)
_PROMPTS: Final = tuple((name, re.compile(looks)) for name, looks in _NAMED_PROMPTS)
_OF_LOADER: Final = re.compile(rb"[^@~/:\n]{0,40}[>#$] ?")


def stage_of(transcript: Transcript, prompt: Pattern) -> Stage:
    """Return how far the DUT has come since the last start that the transcript has a note of.

    Args:
        transcript: The console's.
        prompt: The pattern of the system's shell prompt.
    """
    starts = [mark.position for mark in transcript.marks if _START.match(mark.text)]
    begin = max([transcript.position - _LOOKED_AT_BYTES, *starts[-1:]])
    said = without_escapes(transcript.between(begin))
    for line in reversed(re.split(rb"[\r\n]+", said)):
        stage = _stage_of_line(line)
        if stage is not None:
            return stage
    return Stage.SYSTEM if at_the_end(prompt).search(said) else Stage.UNKNOWN


def boot_prompt(said: bytes, stage: Stage, *, is_named: bool = True) -> str | None:
    """Return the name of the boot loader whose prompt is the last line, or None if it is no such prompt.

    Args:
        said: The last bytes that the DUT printed.
        stage: How far the DUT has come.
        is_named: Whether a prompt that looks like a known boot loader's counts in every stage.
    """
    line = last_line(said).rpartition(b"\r")[2]
    for name, looks in _PROMPTS if is_named else ():
        if looks.fullmatch(line):
            return name
    is_loader = stage in (Stage.LOADER, Stage.COUNTDOWN)
    return "a boot loader" if is_loader and _OF_LOADER.fullmatch(line) else None


def may_press_enter(transcript: Transcript, stage: Stage, limit_s: float) -> bool:
    """Return True if Enter cannot stop a boot loader: a system runs, or the silence is longer than a start's.

    Args:
        transcript: The console's.
        stage: How far the DUT has come.
        limit_s: Seconds that the login may take in all.
    """
    match stage:
        case Stage.SYSTEM:
            return True
        case Stage.COUNTDOWN:
            return False
        case Stage.LOADER:
            return _silent_s(transcript) >= LOADER_SILENT_S
        case _:
            return _silent_s(transcript) >= min(SILENT_S, limit_s / 2)


def _stage_of_line(line: bytes) -> Stage | None:
    for stage, words in (
        (Stage.STARTING, _RESTART),
        (Stage.SYSTEM, _SYSTEM),
        (Stage.COUNTDOWN, _COUNTDOWN),
        (Stage.LOADER, _LOADER),
    ):
        if words.search(line):
            return stage
    return None


def _silent_s(transcript: Transcript) -> float:
    """Return the seconds since the DUT's last byte, its last start, or the opening of the console."""
    chunks = transcript.chunks_between(max(0, transcript.position - 1))
    times = [chunk.monotonic_s for chunk in chunks[-1:]]
    times += [
        mark.monotonic_s for mark in transcript.marks if _START.match(mark.text) or _OPEN.match(mark.text)
    ]
    return time.monotonic() - max(times, default=time.monotonic())
