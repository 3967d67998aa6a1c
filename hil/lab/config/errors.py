"""Say what is wrong with a lab file: file, line, what is allowed there, and what was probably meant."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from hil.errors import UsageError
from hil.lab.config.place import LabContent, LoginEntry, Place
from hil.lab.config.tables import WrongTableError, keys_of, read_table
from hil.lab.config.toml_lines import line_of
from hil.nearest import meant, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hil.lab.config.tables import Key, Mistake

__all__ = ["lab_file_error", "toml_error", "validation_error"]

_SEE = "see docs/lab-file.md"
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_ASSIGNMENT = re.compile(r"""\s*(?P<key>[\w.-]+)\s*(?P<sign>[=:])\s*(?P<value>.*?)\s*(?:#[^"']*)?$""")
_HEADING = re.compile(r"\s*\[+\s*(?P<name>[^\]]*?)\s*\]*\s*(?:#.*)?$")
_PASSWORD = re.compile(
    r"""(\b[\w.-]*(?:passw|secret|pwd)[\w-]*["']?\s*[=:]\s*(?=[^\s,}])"""
    r"""|^login["']?\s*[=:]\s*(?=\S)(?!\{|(["']?)[\w.-]+\2(?:\s|$))).*""",
    re.IGNORECASE,
)
"""A password and the rest of its line, also in a `login` of several words: no error repeats them."""

_LOGIN = re.compile(
    r"""(\s*["']?login\b[\w.]*["']?\s*[=:]\s*(?:\{\s*user\s*=\s*)?(["']?)[\w.-]*\2)[^\w}]+\w.*"""
)
"""A line for `login`, up to the user's name; what follows may be a password."""

_LOCATED = 50
"""How many mistakes are located in the text, at most."""

_SEARCHED_CHARACTERS = 400_000
"""How much text is searched for mistakes, in total: locating one takes longer in a longer text."""

_LONGEST_LINE = 1000
"""For a longer line no correction is suggested: parsing it would take minutes."""

_IN_PLACE = 3
"""The length of the path of a place's key: place, its name, the key."""

_KEYS = {1: keys_of(LabContent), 3: keys_of(Place), 4: keys_of(LoginEntry)}
"""By the length of a key's path: `place`; place, its name, key; place, its name, login, key."""

_OTHER_WORDS = {
    "baud": "baud_rate",
    "speed": "baud_rate",
    "rate": "baud_rate",
    "tty": "console",
    "port": "console",
    "uart": "console",
    "device": "console",
    "disk": "stick",
    "storage": "stick",
    "usb": "stick",
    "sd": "stick",
    "labels": "tags",
    "id": "serial",
    "board": "serial",
    "dutlink": "serial",
    "serial_number": "serial",
    "ready": "up",
    "booted": "up",
    "boot": "up",
    "timeout": "up_timeout_s",
    "boot_timeout": "up_timeout_s",
    "safe_state": "safe",
    "on": "power_on",
    "off": "power_off",
    "rescue": "power_rescue",
    "user": "login",
    "username": "user",
    "password": "login",
    "credentials": "login",
    "secret": "password",
    "shell": "prompt",
    "boards": "place",
    "dut": "place",
    "slot": "place",
}
"""What other tools, and people, call the keys."""


def lab_file_error(file: Path, line: int, what: str, why: str, remedy: str) -> UsageError:
    """Return the error for a line."""
    what, why, remedy = (_PASSWORD.sub(r"\1***", text) for text in (what, why, remedy))
    return UsageError(f"{file}:{line}: {what}", why=why, remedy=remedy)


def toml_error(file: Path, text: str, error: tomllib.TOMLDecodeError) -> UsageError:
    """Return the error for a text that is not TOML: the line, and how it was probably meant."""
    where = _WHERE.search(str(error))
    lines = text.removesuffix("\n").split("\n")
    number = int(where[1]) if where and where[1] else len(lines)
    line = lines[number - 1].strip() if number <= len(lines) else ""
    what = f"this is not TOML: {_WHERE.sub('', str(error))}"
    shown = _LOGIN.sub(r"\1 ***", line[:80])
    return lab_file_error(file, number, what, f"the line is: {shown}", _corrected(line) or _SEE)


def validation_error(file: Path, text: str, mistakes: Sequence[Mistake]) -> UsageError:
    """Return the error for wrong values: the first in full, and the lines of the others."""
    located = mistakes[: max(1, min(_LOCATED, _SEARCHED_CHARACTERS // len(text)))]
    in_lines = [(line_of(text, mistake.path), mistake) for mistake in located]
    # A missing key may be misspelt in another line, so that line goes first.
    in_lines.sort(key=lambda pair: (pair[1].kind == "missing", pair[0]))
    number, first = in_lines[0]
    what, why, remedy = _describe(first, text.split("\n")[number - 1][:_LONGEST_LINE])
    others = ", ".join(str(line) for line, _mistake in in_lines[1:9])
    more = f"; {len(mistakes) - 1} more in line {others}" if others else ""
    return lab_file_error(file, number, what, why + more, remedy)


def _corrected(line: str) -> str:
    """Return how a line that is not TOML was probably meant, or an empty string if that is unclear."""
    if len(line) > _LONGEST_LINE:
        return ""
    assigned, heading = _ASSIGNMENT.match(line), _HEADING.match(line)
    if assigned is not None:
        if _parses(line):
            return f"{assigned['key']}, or its table, is defined twice: remove one"
        return _good_line(assigned["key"], assigned["value"])
    if heading is None or not line.startswith("["):
        return ""
    words = re.sub(r"^place\s+", "place.", heading["name"]).split(".")
    name = ".".join(word if re.fullmatch("[A-Za-z0-9_-]+", word) else f'"{word}"' for word in words)
    return "this table is defined twice: remove one" if line.startswith(f"[{name}]") else f"[{name}]"


def _good_line(key: str, written: str) -> str:
    """Return a valid line for a place's key, with the value that the user wrote; empty if there is none."""
    bare = written.strip("\"'[] ")
    if bare in {"true", "false"} or "{" in bare:
        return ""
    words = ", ".join(f'"{word}"' for word in re.findall(r"[^\s,\[\]\"']+", written))
    user = bare if re.fullmatch(r"[\w.-]+", bare) else ""  # several words may hold a password
    for value in (written, bare, f'"{bare}"', f"[{words}]", f'{{ user = "{user}" }}', f'"/dev/{bare}"'):
        if _is_good(f"{key} = {value}"):
            return f"{key} = {value}"
    return ""


def _is_good(line: str) -> bool:
    try:
        read_table(Place, {"serial": "00000000"} | tomllib.loads(line))
    except (tomllib.TOMLDecodeError, WrongTableError):
        return False
    return True


def _parses(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _describe(mistake: Mistake, line: str) -> tuple[str, str, str]:
    """Return what is wrong in a line, why, and the remedy."""
    path = mistake.path
    where = _place_of(path)
    what = f"{_excerpt(path, mistake.value, line)} cannot be{where}"
    match mistake.kind:
        case "unknown":
            return _unknown_key(path, mistake.value, where)
        case "missing" if len(path) > _IN_PLACE:
            return f"{path[-1]} is missing{where}", "a login has a user", 'login = { user = "root" }'
        case "missing":
            return f"{path[-1]} is missing{where}", "each place names its board", 'serial = "0df10035"'
        case "value":
            why, _, meant = mistake.why.partition("; did you mean ")
            return what, why, f"did you mean {meant}" if meant else _SEE
        case "type":
            return what, f"it must be {mistake.why}{_meaning(path)}", _retyped(path, line) or _SEE


def _place_of(path: Sequence[str | int]) -> str:
    inner = f" {path[2]} of" if len(path) > _IN_PLACE and isinstance(path[3], str) else ""
    return f" in{inner} place {path[1]}" if len(path) > 1 else ""


def _unknown_key(path: Sequence[str | int], value: Any, where: str) -> tuple[str, str, str]:  # noqa: ANN401 - any TOML value
    level = [str(part) for part in path]
    meant = _hint(level) or (f"[place.{path[0]}]" if len(path) == 1 and isinstance(value, dict) else _SEE)
    return f"unknown key {path[-1]}{where}", f"known keys are {', '.join(_known_keys(level))}", meant


def _meaning(path: Sequence[str | int]) -> str:
    """Return the description of the key at `path`, in parentheses."""
    names = [part for part in path if isinstance(part, str)]
    key = _known_keys(names).get(names[-1])
    return f" ({key.description.rstrip('.')})" if key is not None else ""


def _excerpt(path: Sequence[str | int], value: Any, line: str) -> str:  # noqa: ANN401 - any TOML value
    key = str(path[-1]) if isinstance(path[-1], str) else f"{path[-2]}[{path[-1]}]"
    if key == value:
        return key or '""'
    assigned = _ASSIGNMENT.match(line)
    in_line = assigned is not None and assigned["key"] == key
    return f"{key} = {assigned['value'] if in_line and assigned else repr(value):.80}"


def _retyped(path: Sequence[str | int], line: str) -> str:
    """Return how a value of the wrong type was probably meant, or an empty string if that is unclear."""
    assigned = _ASSIGNMENT.match(line)
    if len(path) < _IN_PLACE:
        return "[place.NAME], with its keys below"
    if assigned is None or assigned["key"] != path[2]:
        return ""
    return _good_line(assigned["key"], assigned["value"])


def _known_keys(path: Sequence[str]) -> dict[str, Key]:
    """Return the keys that are allowed where `path` ends, by name."""
    return _KEYS.get(len(path), {})


def _hint(path: Sequence[str]) -> str:
    """Return what the unknown key at the end of `path` probably means, or an empty string."""
    key, known = path[-1], _known_keys(path)
    folded = key.lower().replace("-", "_")
    word = nearest(folded, known, likeness=0.7) or _OTHER_WORDS.get(folded)
    if word in known:
        return f"did you mean {word}?"
    if len(path) == 1 and (folded in Place._fields or _OTHER_WORDS.get(folded) in Place._fields):
        return "put it under a [place.NAME]"
    if folded in LoginEntry._fields:
        return f'login = {{ {folded} = "..." }}'
    if folded in Place._fields:
        return f"put {folded} into the place, outside of its login"
    if folded == "name":
        return "a place's name is in its heading: [place.NAME]"
    return meant(folded, known)
