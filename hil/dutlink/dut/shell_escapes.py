"""What a DUT prints between the words of its shell: escape sequences, and the times of kernel messages."""

from __future__ import annotations

import re
from typing import Final

from hil.dutlink.console.sanitize import CSI

__all__ = [
    "ESCAPE",
    "ESCAPES_AT_END",
    "KERNEL_TIME",
    "calls_editor",
    "last_line",
    "without_escapes",
    "without_like",
]

KERNEL_TIME: Final = rb"(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]{6}\]"
"""The beginning of the kernel's messages, with or without their level (Linux: kernel/printk/printk.c)."""

_STRING: Final = rb"\x1b[\]PX^_][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)"
"""OSC, DCS, SOS, PM and APC (ECMA-48), which BEL or ST ends: window titles, OSC 133 and OSC 3008."""

_SHORT: Final = rb"\x1b[ -/][0-~]|\x1b[0-NQ-WZ`-~]"
"""Character sets and keypad modes."""

ESCAPE: Final = rb"(?:" + CSI + rb"|" + _STRING + rb"|" + _SHORT + rb")"

ESCAPES_AT_END: Final = ESCAPE + rb"*"

_ESCAPE: Final = re.compile(ESCAPE)
_EDITOR_BEGINS: Final = re.compile(rb"\x1b\[\?2004h|\x1b\]133;[AB]")
_EDITOR_ENDS: Final = re.compile(rb"\x1b\[\?2004l|\x1b\]133;[CD]")
_KIND: Final = re.compile(rb"\x1b\][0-9]+|\x1b.")


def without_escapes(data: bytes) -> bytes:
    """Remove all complete escape sequences."""
    return _ESCAPE.sub(b"", data)


def without_like(data: bytes, examples: bytes) -> bytes:
    """Remove each escape sequence of which `examples` has one of the same kind.

    OSCs of the same number (`133`, `3008`) are of the same kind; other sequences only if they are equal.
    """
    found = _ESCAPE.findall(examples)
    kinds = {_kind(each) for each in found}
    return _ESCAPE.sub(lambda match: b"" if _kind(match.group()) in kinds else match.group(), data)


def calls_editor(data: bytes) -> bool:
    """Return True if the last escape sequence of a line editor shows that it reads a line."""
    return _last(_EDITOR_BEGINS, data) > _last(_EDITOR_ENDS, data)


def last_line(data: bytes) -> bytes:
    """Return what follows the last line end, without escape sequences."""
    return without_escapes(data[-4096:].rpartition(b"\n")[2])


def _kind(escape: bytes) -> bytes:
    kind = _KIND.match(escape)
    return kind.group() if kind is not None and escape.startswith(b"\x1b]") else escape


def _last(mark: re.Pattern[bytes], data: bytes) -> int:
    return max((match.start() for match in mark.finditer(data)), default=-1)
