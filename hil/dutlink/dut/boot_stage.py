"""Decide from a console's last lines whether a boot loader or a system runs, and whether Enter may be sent.

Any byte stops the countdown of a boot loader, even one that was sent before the countdown. So `login` sends
nothing until a system has printed something since the DUT's last start, or until the DUT has been silent for
longer than it is during any start.

The output of a command may look like a boot loader's: `UEFI is supported`. So after a system's own lines, or
after its shell has answered, only lines that begin a boot count until the next start.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.transcript import MarkKind
from hil.dutlink.dut import boot_patterns
from hil.dutlink.dut.boot_patterns import Stage
from hil.dutlink.dut.prompt import pattern_at_end
from hil.dutlink.dut.shell_escapes import last_line, without_escapes
from hil.dutlink.patterns.search import search

if TYPE_CHECKING:
    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["LOADER_SILENT_S", "SILENT_S", "Stage", "boot_prompt", "may_press_enter", "stage_of"]

SILENT_S = 10.0
"""Seconds of silence after which a DUT that has printed nothing is assumed to wait at its login prompt."""

LOADER_SILENT_S = 30.0
"""The same if a boot loader printed last: memory training and loading images take long."""

_LOOKED_AT_BYTES: Final = 64 * 1024
_LOOKED_AT_OF_SHELL_BYTES: Final = 1024 * 1024
"""The same after a shell has answered, so that a boot since then is not missed."""

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
    """Return how far the DUT has booted since the last start that the transcript notes.

    Args:
        transcript: The console's transcript.
        prompt: The pattern of the system's shell prompt.
    """
    starts = [mark.position for mark in transcript.marks if mark.starts_dut]
    start = starts[-1] if starts else 0
    is_logged_in = transcript.shell.system_at > start
    begin = max(start, transcript.position - _LOOKED_AT_BYTES)
    if is_logged_in:
        begin = max(transcript.shell.system_at, transcript.position - _LOOKED_AT_OF_SHELL_BYTES)
    said = without_escapes(_output_outside_commands(transcript, begin))
    stage = _last_stage(re.split(rb"[\r\n]+", said), is_logged_in=is_logged_in)
    if stage is Stage.UNKNOWN and search(pattern_at_end(prompt), said):
        return Stage.SYSTEM
    return stage


def boot_prompt(said: bytes, stage: Stage, *, is_named: bool = True) -> str | None:
    """Return the name of the boot loader whose prompt is the last line, or None.

    Args:
        said: The last bytes that the DUT printed.
        stage: How far the DUT has booted.
        is_named: Whether a prompt of a known boot loader counts in every stage.
    """
    line = last_line(said).rpartition(b"\r")[2]
    for name, looks in _PROMPTS if is_named else ():
        if looks.fullmatch(line):
            return name
    is_loader = stage in (Stage.LOADER, Stage.COUNTDOWN)
    return "a boot loader" if is_loader and _OF_LOADER.fullmatch(line) else None


def may_press_enter(transcript: Transcript, stage: Stage, limit_s: float) -> bool:
    """Return True if Enter cannot stop a boot loader: a system runs, or the DUT was silent for long enough.

    Args:
        transcript: The console's transcript.
        stage: How far the DUT has booted.
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


def _output_outside_commands(transcript: Transcript, begin: int) -> bytes:
    """Return the bytes since a position, without the output of commands that ended."""
    pieces = []
    for first, last in transcript.shell.commands:
        if last > begin:
            pieces.append(transcript.between(begin, max(begin, first)))
            begin = last
    return b"".join([*pieces, transcript.between(begin)])


def _last_stage(lines: list[bytes], *, is_logged_in: bool) -> Stage:
    """Return the stage after these lines.

    Args:
        lines: The DUT's lines.
        is_logged_in: Whether a system's shell had answered before them.
    """
    stage, is_sure = (Stage.SYSTEM, True) if is_logged_in else (Stage.UNKNOWN, False)
    for line in lines:
        if is_sure:
            begun = boot_patterns.stage_begun_by(line)
            stage, is_sure = (stage, True) if begun is None else (begun, False)
        else:
            stage = boot_patterns.stage_told_by(line) or stage
            is_sure = boot_patterns.is_surely_of_system(line)
    return stage


def _silent_s(transcript: Transcript) -> float:
    """Return the seconds since the DUT's last byte, its last start, or the opening of the console."""
    chunks = transcript.chunks_between(max(0, transcript.position - 1))
    times = [chunk.monotonic_s for chunk in chunks[-1:]]
    times += [
        mark.monotonic_s for mark in transcript.marks if mark.starts_dut or mark.kind is MarkKind.CONSOLE_OPEN
    ]
    return time.monotonic() - max(times, default=time.monotonic())
