r"""Make the output of a DUT safe to show. All DUT bytes that hil shows pass through here, with one exception.

`hil console` connects a user's terminal with the DUT, so it writes the DUT's bytes to a terminal unchanged.

A DUT may send anything: colours, but also sequences that set a terminal's title, answer for its user, or hide
text before them; characters that change the reading direction; bytes that XML does not allow. Complete CSI
sequences (ECMA-48: colours, cursor) are removed. Every other control character is shown as `\x1b`, every
invisible character as `\u202e`. Nothing else is changed.

A CI service reads what a test prints of its DUT's output. GitHub's and Azure's runners execute `::name::` at
the beginning of a line, and `##[name]` and `##vso[name]` anywhere; TeamCity executes `##teamcity[name]`.
GitLab and Jenkins publish the file that `[[ATTACHMENT|path]]` names in a JUnit file. For these, commands to
the service are escaped, too.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

__all__ = [
    "CiCommandFilter",
    "SanitizingDecoder",
    "sanitize_bytes",
    "sanitize_line",
    "sanitize_text",
    "without_ci_commands",
]

CSI: Final = rb"\x1b\[[0-?]{0,48}[ -/]{0,8}[@-~]"
"""A control sequence: parameters, intermediates, a final byte; real DUTs send no longer ones."""

# Patterns are text, which `re` compiles and keeps when it is first used: most commands show nothing odd.
_LINE_END: Final = rb"\r+\n|\r+"
_UNFINISHED: Final = rb"\x1b(?:\[[0-?]{0,48}[ -/]{0,8})?\Z"
_UNFINISHED_BYTES: Final = 64
_ODD: Final = r"[^\t\n -~]"
_PLAIN: Final = bytes({9, 10, *range(32, 127)})
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0").union(
    map(chr, range(0x180B, 0x1810)), map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0))
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
    if text.isascii() and text.isprintable():  # most lines of the command line, which has thousands
        return text
    return sanitize_bytes(text.encode(errors="backslashreplace"))


def sanitize_line(text: str) -> str:
    r"""Do the same, and show line ends as `\n` and tabs as `\t`, so that the text stays in one line."""
    return sanitize_text(text).replace("\n", r"\n").replace("\t", r"\t")


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
        end = max(0, len(data) - _UNFINISHED_BYTES)
        unfinished = re.search(_UNFINISHED, data[end:])
        cut = end + unfinished.start() if unfinished else len(data)
        self._held = data[cut:]
        return _seen(self._decoder.decode(self._lines(re.sub(CSI, b"", data[:cut]))))

    def finish(self) -> str:
        """Return the end that was held back, after the last piece."""
        rest = self._line_ends + self._held
        self._held = self._line_ends = b""
        return _seen(self._decoder.decode(re.sub(_LINE_END, b"\n", rest), final=True))

    def _lines(self, data: bytes) -> bytes:
        """Turn every line end into LF; CRs at the end wait for the bytes that follow."""
        data = self._line_ends + data
        kept = data.rstrip(b"\r")
        self._line_ends = data[len(kept) :]
        return re.sub(_LINE_END, b"\n", kept) if b"\r" in kept else kept


def _seen(text: str) -> str:
    return re.sub(_ODD, _shown, text)


def _shown(odd: re.Match[str]) -> str:
    character = odd.group()
    if character.isascii():
        return f"\\x{ord(character):02x}"
    from unicodedata import category  # noqa: PLC0415 - most text is ASCII

    if category(character) not in _UNSEEN and character not in _BLANK:
        return character
    return character.encode("ascii", "backslashreplace").decode()


_CI_COMMAND: Final = (
    r"(?im)(?:(?P<blank>^[^\S\n]*)(?=::)|(?=##[a-z]{0,20}\[)|(?=\[\[ATTACHMENT\|))(?P<first>[:#\[])"
)
_MARKS: Final = ("::", "##", "[[")
"""What each CI command contains."""

_OPEN: Final = r"\[\[?[a-z]{0,10}"
_UNFINISHED_CI_COMMAND: Final = rf"(?i)(?:(?<!:):|##?[a-z]{{0,20}}(?:{_OPEN})?|{_OPEN})\Z"
_BLANK_LINE: Final = r"(?:\A|\n)[^\S\n]*\Z"
_MID_LINE: Final = "x"


def without_ci_commands(text: str) -> str:
    r"""Return the text with the first character of each CI command escaped: `\x3a` for a colon."""
    if not any(mark in text for mark in _MARKS):
        return text
    return re.sub(_CI_COMMAND, lambda found: f"{found['blank'] or ''}\\x{ord(found['first']):02x}", text)


class CiCommandFilter:
    """Apply `without_ci_commands` to text that comes in pieces, however it is split."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = ""  # represents the part of the present line that was returned already

    def feed(self, text: str) -> str:
        """Return the text that later pieces cannot turn into a command; keep the rest for the next call."""
        text = self._held + text
        whole = self._begun + text
        unfinished = re.search(_UNFINISHED_CI_COMMAND, whole)
        cut = unfinished.start() if unfinished else len(whole)
        safe, self._held = whole[:cut], whole[cut:]
        shown = without_ci_commands(safe)[len(self._begun) :]
        self._begun = "" if re.search(_BLANK_LINE, safe) else _MID_LINE
        return shown

    def finish(self) -> str:
        """Return the text that was kept; call it after the last piece."""
        rest, self._held = self._begun + self._held, ""
        return without_ci_commands(rest)[len(self._begun) :]
