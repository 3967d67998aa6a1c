"""Escape words for systemd's unit files, where each setting expands something else.

Sources: systemd.service(5) "Command lines", systemd.exec(5) `Environment=`, systemd.unit(5)
"Specifiers".
"""

from __future__ import annotations

import re

__all__ = ["assignment", "command_line", "first_word", "literal"]


def literal(text: str) -> str:
    """Escape a text so that systemd finds no specifiers (`%i`) in it."""
    return text.replace("%", "%%")


def assignment(name: str, value: str) -> str:
    """Return an assignment for `Environment=`, which expands specifiers but no variables."""
    return f'"{name}={_escaped(value)}"'


def command_line(*words: str) -> str:
    """Return a command for `ExecStart=`, which expands specifiers and variables."""
    return " ".join(map(_command_word, words))


def first_word(command: str) -> str:
    """Return the program in a command that `command_line` wrote."""
    found = re.match(r'"((?:\\.|[^"\\])*)"|\S+', command)
    if found is None:
        return ""
    word = found[0] if found[1] is None else re.sub(r"\\(.)", r"\1", found[1])
    return word.replace("$$", "$").replace("%%", "%")


def _command_word(text: str) -> str:
    escaped = _escaped(text).replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%+=:,./-]+", escaped) else f'"{escaped}"'


def _escaped(text: str) -> str:
    return literal(text).replace("\\", r"\\").replace('"', r"\"")
