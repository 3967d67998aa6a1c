"""How far a DUT has come, told from its last words: a boot loader must not be given a key, a system may.

A boot loader that counts down takes any byte for a key, also one that came before it listened. So `login`
types nothing until a system has spoken since the DUT's last start, or until a silence that no start has.
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
"""Silence after which a DUT that has said nothing yet is taken for one that waits at its login prompt."""

LOADER_SILENT_S = 30.0
"""The same where a boot loader spoke last: training memory and loading images take long."""

_LOOKED_AT_BYTES: Final = 64 * 1024
_START: Final = re.compile(r"power (?:on|force-on|rescue)(?:;|$)|reset low$")
_OPEN: Final = re.compile(r"console .* is open$")


class Stage(enum.Enum):
    """What spoke last since the DUT's last start."""

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
    """Tell how far the DUT has come since it was last started, as far as the transcript knows.

    Args:
        transcript: Of the console.
        prompt: Of the system's shell.
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
    """Return the name of the boot loader whose prompt ends these words; None if none does.

    Args:
        said: The DUT's last words.
        stage: How far the DUT has come.
        is_named: Whether a prompt's look alone tells a boot loader.
    """
    line = last_line(said).rpartition(b"\r")[2]
    for name, looks in _PROMPTS if is_named else ():
        if looks.fullmatch(line):
            return name
    is_loader = stage in (Stage.LOADER, Stage.COUNTDOWN)
    return "a boot loader" if is_loader and _OF_LOADER.fullmatch(line) else None


def may_press_enter(transcript: Transcript, stage: Stage, limit_s: float) -> bool:
    """Return True if Enter stops no boot loader: a system spoke last, or no start is silent for so long.

    Args:
        transcript: Of the console.
        stage: How far the DUT has come.
        limit_s: How long may be waited in all, in seconds.
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
    """Return for how long the DUT has said nothing, since its start at most."""
    chunks = transcript.chunks_between(max(0, transcript.position - 1))
    times = [chunk.monotonic_s for chunk in chunks[-1:]]
    times += [
        mark.monotonic_s for mark in transcript.marks if _START.match(mark.text) or _OPEN.match(mark.text)
    ]
    return time.monotonic() - max(times, default=time.monotonic())
