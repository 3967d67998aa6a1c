r"""Make the output of a DUT safe to show. All DUT bytes that a terminal or a page shows pass through here.

A DUT may send anything: colours, but also sequences that set a terminal's title, answer for its user, or hide
text before them; characters that change the reading direction; bytes that XML does not allow. Complete CSI
sequences (ECMA-48: colours, cursor) are removed. Every other control character is shown as `\x1b`, every
invisible character as `\u202e`. Nothing else is changed.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final

__all__ = ["SanitizingDecoder", "sanitize_bytes", "sanitize_line", "sanitize_text", "tail_lines"]

CSI: Final = rb"\x1b\[[0-?]{0,48}[ -/]{0,8}[@-~]"
"""A control sequence: parameters, intermediates, a final byte; real DUTs send no longer ones."""

_CSI: Final = re.compile(CSI)
_LINE_END: Final = re.compile(rb"\r+\n|\r+")
_UNFINISHED: Final = re.compile(rb"\x1b(?:\[[0-?]{0,48}[ -/]{0,8})?\Z")
_UNFINISHED_BYTES: Final = 64
_TAIL_BYTES: Final = 64 * 1024
_ODD: Final = re.compile(r"[^\t\n -~]")
_PLAIN: Final = bytes({9, 10, *range(32, 127)})
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters, marks and symbols that are invisible: fillers, joiners, variation selectors (Unicode:
Default_Ignorable_Code_Point), and the blank Braille pattern."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def sanitize_bytes(data: bytes) -> str:
    r"""Return the output of a DUT as text that has only printable characters, tabs and LF.

    Bytes that are not UTF-8 become `\xff`. CR LF, and a CR that overwrites a line, become LF.
    """
    text = SanitizingDecoder()
    return text.feed(data) + text.finish()


def sanitize_text(text: str) -> str:
    """Do the same for text of any origin: a test's name, a setting, a command's output."""
    return sanitize_bytes(text.encode(errors="backslashreplace"))


def sanitize_line(text: str) -> str:
    r"""Do the same, and show line ends as `\n` and tabs as `\t`, so that the text stays in one line."""
    return sanitize_text(text).replace("\n", r"\n").replace("\t", r"\t")


def tail_lines(data: bytes, lines: int, width: int = 200) -> str:
    """Return the last lines of a DUT's output, each cut at its front to `width` characters."""
    newest = sanitize_bytes(data[-_TAIL_BYTES:]).rstrip("\n").split("\n")[-lines:]
    return "\n".join(line if len(line) <= width else f"...{line[3 - width :]}" for line in newest)


class SanitizingDecoder:
    """Do what `sanitize_bytes` does for bytes that come in pieces; the text does not depend on the pieces."""

    def __init__(self) -> None:
        self._held = b""
        self._line_ends = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes) -> str:
        """Return the text of these bytes, without an end that later bytes may change."""
        data = (self._held + data).replace(b"\r\n", b"\n")
        if not (self._line_ends or data.translate(None, _PLAIN)):
            self._held = b""
            return self._decoder.decode(data)
        unfinished = _UNFINISHED.search(data, max(0, len(data) - _UNFINISHED_BYTES))
        cut = unfinished.start() if unfinished else len(data)
        self._held = data[cut:]
        return _seen(self._decoder.decode(self._lines(_CSI.sub(b"", data[:cut]))))

    def finish(self) -> str:
        """Return the end that was held back, after the last piece."""
        rest = self._line_ends + self._held
        self._held = self._line_ends = b""
        return _seen(self._decoder.decode(_LINE_END.sub(b"\n", rest), final=True))

    def _lines(self, data: bytes) -> bytes:
        """Turn every line end into LF; CRs at the end wait for the bytes that follow."""
        data = self._line_ends + data
        kept = data.rstrip(b"\r")
        self._line_ends = data[len(kept) :]
        return _LINE_END.sub(b"\n", kept) if b"\r" in kept else kept


def _seen(text: str) -> str:
    return _ODD.sub(_shown, text)


def _shown(odd: re.Match[str]) -> str:
    character = odd.group()
    if unicodedata.category(character) not in _UNSEEN and not _BLANK.match(character):
        return character
    return character.encode("ascii", "backslashreplace").decode() if character > "\x7f" else _hex(character)


def _hex(character: str) -> str:
    return f"\\x{ord(character):02x}"
