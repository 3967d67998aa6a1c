"""Search console output for the errors of the watch list: kernel panics and the like.

The text is found however the bytes arrive: split anywhere, with CRs, colours and other control characters in
it. A line with control characters is searched in three forms: without the escape sequences, with a line end
in place of each, and with the sequences' own text. So an escape sequence hides nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.allowlist import ErrorLine
from hil.dutlink.console.sanitize import CSI, sanitize_bytes
from hil.dutlink.patterns.search import search, search_all, trust_pattern
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.console.transcript import Chunk

__all__ = ["KNOWN", "ErrorScanner"]

KNOWN: Final[dict[str, str]] = {
    "kernel panic": r"(?i:kernel panic)",
    "oops": r"\bOops\b|\bInternal error: |\bUnable to handle kernel\b",
    "BUG": r"\bBUG(?::| at )",
    "out of memory": r"(?i:\bout of memory\b)|\binvoked oom-killer\b",
    "watchdog reset": r"(?i:\b(?:watchdog|wdog|wdt)(?:[ _-]timer)?[ _-](?:reset|reboot|expired|bite|bark)\b"
    r"|\b(?:reset|reboot|boot)[ _]?(?:cause|reason|status|source)\b[^\n]{0,30}?(?:watchdog|wdog|wdt)"
    r"|\b(?:reset|reboot)(?:ting|ing|ed)?(?:: ?| by | due to | from )(?:the |a )?(?:watchdog|wdog|wdt)\b"
    r"|\bwatchdog detected hard lockup\b|\brst:0x[0-9a-f]+ \([^)\n]{0,30}wdt)",
}
"""Patterns for the errors that Linux and its boot loaders print (kernel/panic.c, arch/*/mm/fault.c,
lib/bug.c, mm/oom_kill.c; U-Boot prints the cause of a reset)."""

_SEQUENCE: Final = CSI + rb"|\x1b\][^\x07\x1b\n]{0,256}(?:\x07|\x1b\\)|\x1b[ -/]{0,2}[0-Z\\^-~]"
_CONTROL: Final = rb"[\x00-\x08\x0b-\x1f\x7f]"
_DROPPED: Final = re.compile(_SEQUENCE + b"|" + _CONTROL)
_SEQUENCES: Final = re.compile(_SEQUENCE)
_CONTROLS: Final = bytes({*range(32), 127} - {9, 10})
_TO_LINE_ENDS: Final = bytes.maketrans(_CONTROLS, b"\n" * len(_CONTROLS))
_HINTS: Final = {
    "kernel panic": (b"panic",),
    "oops": (b"oops", b"internal error", b"unable to handle"),
    "BUG": (b"bug:", b"bug at "),
    "out of memory": (b"of memory", b"oom-killer"),
    "watchdog reset": (b"watchdog", b"wdog", b"wdt"),
}
"""Lower-case text of which each match has some: searching for it is a hundred times faster."""

_BLOCK_BYTES: Final = 16 * 1024
_LONGEST_LINE: Final = 8192
_OVERLAP: Final = 1024
_SHOWN: Final = 300
_MOST_FINDINGS: Final = 1000
_NO_WORDS: Final = re.compile(rb"(?!)")
"""A pattern that matches nothing, for findings without a pattern of their own."""


@dataclass(slots=True)
class _ErrorKind:
    name: str
    pattern: re.Pattern[bytes]
    hints: tuple[bytes, ...] = ()
    reported_up_to: int = -1
    is_given_up: bool = False

    def may_be_in(self, form: bytes, lower: bytes) -> bool:
        """Return True if one form of a block matches, or is likely to."""
        if self.hints:
            return any(hint in lower for hint in self.hints)
        return search(self.pattern, form) is not None


class ErrorScanner:
    """Searches a console's bytes for errors, chunk by chunk.

    Args:
        more: Regular expressions of the lab file, in addition to `KNOWN`.

    Attributes:
        findings: Errors that were found and not taken yet, oldest first; at most a thousand.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        self.findings: list[ErrorLine] = []
        named = KNOWN | {pattern: pattern for pattern in more}
        self._kinds = [
            _ErrorKind(name, _compiled(name, text), _HINTS.get(name, ())) for name, text in named.items()
        ]
        self._pending = bytearray()
        self._pending_at = 0
        self._scanned_bytes = 0
        self._time_s = 0.0

    def take_findings(self) -> list[ErrorLine]:
        """Return and remove the findings so far."""
        taken = self.findings[:]
        del self.findings[: len(taken)]
        return taken

    def feed(self, chunk: Chunk) -> None:
        """Add bytes; they are scanned when there are enough of them, or by `scan`."""
        if chunk.position != self._pending_at + len(self._pending):  # chunks in between were dropped
            self.scan()
            self._keep(b"", chunk.position)
        self._pending += chunk.data
        self._time_s = chunk.time_s
        if len(self._pending) > _BLOCK_BYTES:
            self.scan()

    def scan(self) -> None:
        """Scan all bytes so far, an incomplete line too; keep that line, since it may still match."""
        if len(self._pending) == self._scanned_bytes:
            return
        self._search(bytes(self._pending), self._pending_at)
        line = self._pending.rfind(b"\n") + 1
        if len(self._pending) - line > _LONGEST_LINE:
            line = len(self._pending) - _OVERLAP
        self._keep(bytes(self._pending[line:]), self._pending_at + line)
        self._scanned_bytes = len(self._pending)

    def _keep(self, rest: bytes, position: int) -> None:
        self._pending, self._pending_at, self._scanned_bytes = bytearray(rest), position, 0

    def _search(self, block: bytes, position: int) -> None:
        forms = [(form, form.lower()) for form in _forms(block)]
        for kind in self._kinds:
            try:
                if not kind.is_given_up and any(kind.may_be_in(form, lower) for form, lower in forms):
                    self._find(kind, block, position)
            except UsageError as error:  # the pattern takes too long
                kind.is_given_up = True
                told = f"{error.what}; it is not looked for any more ({error.why})"
                self.findings.append(ErrorLine(kind.name, _NO_WORDS, told, position, self._time_s))

    def _find(self, kind: _ErrorKind, block: bytes, position: int) -> None:
        for begin in sorted(_places(kind.pattern, block)):
            if position + begin > kind.reported_up_to and len(self.findings) < _MOST_FINDINGS:
                line, end = _line_around(block, begin)
                kind.reported_up_to = position + max(begin, end - 1)
                self.findings.append(ErrorLine(kind.name, kind.pattern, line, position + begin, self._time_s))


def _compiled(name: str, text: str) -> re.Pattern[bytes]:
    pattern = re.compile(text.encode(), re.MULTILINE)
    return trust_pattern(pattern) if KNOWN.get(name) == text else pattern


def _forms(block: bytes) -> list[bytes]:
    """Return the forms in which a block is searched; most blocks are plain lines and have only one."""
    lines = block.replace(b"\r\n", b"\n")
    without = lines.translate(None, _CONTROLS)
    if len(without) == len(lines):
        return [lines]
    return [_DROPPED.sub(b"", lines), *_with_line_ends(lines)]


def _with_line_ends(block: bytes) -> list[bytes]:
    """Return a block with line ends in place of controls, and one with line ends in place of sequences too.

    Both have the length of the block, so that offsets stay.
    """
    if b"\x1b" not in block:
        return [block.translate(_TO_LINE_ENDS)]
    split = _SEQUENCES.sub(lambda cut: b"\n" * len(cut.group()), block)
    return [block.translate(_TO_LINE_ENDS), split.translate(_TO_LINE_ENDS)]


def _places(pattern: re.Pattern[bytes], block: bytes) -> set[int]:
    """Return the offsets in a block at which a pattern matches."""
    without, cuts, shifts = _dropped(block)
    found = {begin + shifts[bisect_right(cuts, begin)] for begin, _ in search_all(pattern, without)}
    return found.union(
        *({begin for begin, _ in search_all(pattern, form)} for form in _with_line_ends(block))
    )


def _dropped(block: bytes) -> tuple[bytes, list[int], list[int]]:
    """Return a block without sequences and controls, the offsets of the cuts, and the bytes cut before each.

    The last list begins with 0, for the part before the first cut.
    """
    parts, cuts, shifts, begin = [], [], [0], 0
    for cut in _DROPPED.finditer(block):
        parts.append(block[begin : cut.start()])
        begin = cut.end()
        cuts.append(cut.start() - shifts[-1])
        shifts.append(shifts[-1] + begin - cut.start())
    return b"".join([*parts, block[begin:]]), cuts, shifts


def _line_around(block: bytes, place: int) -> tuple[str, int]:
    """Return the line around an offset, safe to show, and the offset of its end."""
    begin = block.rfind(b"\n", 0, place) + 1
    end = block.find(b"\n", place)
    end = len(block) if end < 0 else end
    shown = block[max(begin, place - _SHOWN // 2) : min(end, place + _SHOWN)]
    return " ".join(sanitize_bytes(shown).split("\n")).strip(), end
