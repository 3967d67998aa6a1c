r"""Escape commands to a CI service in text that a job prints.

A test prints the output of its DUT, and a CI service reads what the test prints. GitHub's and Azure's runners
execute `::name::` at the beginning of a line, and `##[name]` and `##vso[name]` anywhere; TeamCity executes
`##teamcity[name]`. GitLab and Jenkins publish the file that `[[ATTACHMENT|path]]` names in a JUnit file.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CiCommandFilter", "without_ci_commands"]

_COMMAND: Final = re.compile(
    r"(?:(?P<blank>^[^\S\n]*)(?=::)|(?=##[a-z]{0,20}\[)|(?=\[\[ATTACHMENT\|))(?P<first>[:#\[])",
    re.MULTILINE | re.IGNORECASE,
)
_OPEN: Final = r"\[\[?[a-z]{0,10}"
_UNFINISHED: Final = re.compile(rf"(?:(?<!:):|##?[a-z]{{0,20}}(?:{_OPEN})?|{_OPEN})\Z", re.IGNORECASE)
_BLANK_LINE: Final = re.compile(r"(?:\A|\n)[^\S\n]*\Z")
_MID_LINE: Final = "x"


def without_ci_commands(text: str) -> str:
    r"""Return the text with the first character of each CI command escaped: `\x3a` for a colon."""
    return _COMMAND.sub(lambda found: f"{found['blank'] or ''}\\x{ord(found['first']):02x}", text)


class CiCommandFilter:
    """Apply `without_ci_commands` to text that comes in pieces, however it is split."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = ""  # represents the part of the present line that was returned already

    def feed(self, text: str) -> str:
        """Return the text that later pieces cannot turn into a command; keep the rest for the next call."""
        text = self._held + text
        whole = self._begun + text
        unfinished = _UNFINISHED.search(whole)
        cut = unfinished.start() if unfinished else len(whole)
        safe, self._held = whole[:cut], whole[cut:]
        shown = without_ci_commands(safe)[len(self._begun) :]
        self._begun = "" if _BLANK_LINE.search(safe) else _MID_LINE
        return shown

    def finish(self) -> str:
        """Return the text that was kept; call it after the last piece."""
        rest, self._held = self._begun + self._held, ""
        return without_ci_commands(rest)[len(self._begun) :]
