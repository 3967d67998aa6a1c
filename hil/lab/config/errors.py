"""Tells what is wrong with a lab file: file, line, what is allowed there, and what was probably meant."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["invalid", "not_toml", "wrong"]

_SEE = "see docs/lab-file.md"
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_ASSIGNMENT = re.compile(r"""\s*(?P<key>[\w.-]+)\s*(?P<sign>[=:])\s*(?P<value>.*?)\s*(?:#[^"']*)?$""")
_HEADING = re.compile(r"\s*\[+\s*(?P<name>[^\]]*?)\s*\]*\s*(?:#.*)?$")
_PASSWORD = re.compile(r"(\b[\w.-]*(?:passw|secret|pwd)[\w-]*[\"']?\s*[=:]\s*)[^\s,}].*", re.IGNORECASE)
"""A password, and what stands after it in its line: neither is repeated in an error."""

_LOCATED = 50
"""How many mistakes are looked for in the text, at most; who has more begins with the first anyway."""

_SEARCHED_CHARACTERS = 400_000
"""How much text is searched for them: to find one takes longer the longer the text is."""

_LONGEST_LINE = 1000
"""A longer line is not mended: to take it apart would take minutes."""

_IN_PLACE = 3
"""How long the path of a key of a place is: place, its name, the key."""

_MUST_BE = {
    "string_type": "a string, that is text in quotes",
    "int_type": "an integer, that is a whole number without quotes",
    "float_type": "a number without quotes",
    "list_type": "a list of strings",
    "dict_type": "a table",
    "model_type": "a table",
}


def wrong(file: Path, line: int, what: str, why: str, remedy: str) -> UsageError:
    """Say what is wrong in a line."""
    what, why, remedy = (_PASSWORD.sub(r"\1***", text) for text in (what, why, remedy))
    return UsageError(f"{file}:{line}: {what}", why=why, remedy=remedy)


def not_toml(file: Path, text: str, error: tomllib.TOMLDecodeError) -> UsageError:
    """Say where a text stops being TOML, and how the line was probably meant."""
    where = _WHERE.search(str(error))
    lines = text.removesuffix("\n").split("\n")
    number = int(where[1]) if where and where[1] else len(lines)
    line = lines[number - 1].strip() if number <= len(lines) else ""
    what = f"this is not TOML: {_WHERE.sub('', str(error))}"
    return wrong(file, number, what, f"the line is: {line[:80]}", _mended(line) or _SEE)


def invalid(file: Path, text: str, mistakes: Sequence[ErrorDetails]) -> UsageError:
    """Tell the first mistake whole, and where the others are."""
    from hil.lab.config.toml_lines import line_of  # noqa: PLC0415 - only for a wrong file

    located = mistakes[: max(1, min(_LOCATED, _SEARCHED_CHARACTERS // len(text)))]
    in_lines = [(line_of(text, _path(mistake)), mistake) for mistake in located]
    # A key that is missing may be one that is misspelt elsewhere: that goes first.
    in_lines.sort(key=lambda pair: (pair[1]["type"] == "missing", pair[0]))
    number, first = in_lines[0]
    what, why, remedy = _told(first, text.split("\n")[number - 1][:_LONGEST_LINE])
    others = ", ".join(str(line) for line, _mistake in in_lines[1:9])
    more = f"; {len(mistakes) - 1} more in line {others}" if others else ""
    return wrong(file, number, what, why + more, remedy)


def _mended(line: str) -> str:
    """How a line that is not TOML was probably meant; empty where that is anybody's guess."""
    if len(line) > _LONGEST_LINE:
        return ""
    assigned, heading = _ASSIGNMENT.match(line), _HEADING.match(line)
    if assigned is not None:
        if _parses(line):
            return f"{assigned['key']}, or its table, is there twice: take one out"
        return _good_line(assigned["key"], assigned["value"])
    if heading is None or not line.startswith("["):
        return ""
    words = re.sub(r"^place\s+", "place.", heading["name"]).split(".")
    name = ".".join(word if re.fullmatch("[A-Za-z0-9_-]+", word) else f'"{word}"' for word in words)
    return "this table is there twice: take one out" if line.startswith(f"[{name}]") else f"[{name}]"


def _good_line(key: str, written: str) -> str:
    """Return a line that a place may have, with a value as somebody wrote it; empty where there is none."""
    bare = written.strip("\"'[] ")
    if bare in {"true", "false"} or "{" in bare:
        return ""
    words = ", ".join(f'"{word}"' for word in re.findall(r"[^\s,\[\]\"']+", written))
    for value in (written, bare, f'"{bare}"', f"[{words}]", f'{{ user = "{bare}" }}', f'"/dev/{bare}"'):
        if _is_good(f"{key} = {value}"):
            return f"{key} = {value}"
    return ""


def _is_good(line: str) -> bool:
    from pydantic import ValidationError  # noqa: PLC0415 - only for a wrong file

    from hil.lab.config.place import Place  # noqa: PLC0415 - as above

    try:
        Place.model_validate({"serial": "00000000"} | tomllib.loads(line))
    except (tomllib.TOMLDecodeError, ValidationError):
        return False
    return True


def _parses(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _path(mistake: ErrorDetails) -> tuple[str | int, ...]:
    """Where in the file: without pydantic's own word for a key that is wrong itself."""
    return tuple(part for part in mistake["loc"] if part != "[key]")


def _told(mistake: ErrorDetails, line: str) -> tuple[str, str, str]:
    """What, why and what next, of one mistake in a line."""
    path = _path(mistake)
    where = _place_of(path)
    what = f"{_shown(path, mistake['input'], line)} cannot be{where}"
    match mistake["type"]:
        case "extra_forbidden":
            return _unknown_key(path, mistake["input"], where)
        case "missing" if len(path) > _IN_PLACE:
            return f"{path[-1]} is missing{where}", "a login has a user", 'login = { user = "root" }'
        case "missing":
            return f"{path[-1]} is missing{where}", "each place names its board", 'serial = "0df10035"'
        case "value_error":
            why, _, meant = str(mistake["ctx"]["error"]).partition("; did you mean ")
            return what, why, f"did you mean {meant}" if meant else _SEE
        case kind:
            must_be = _MUST_BE.get(kind) or mistake["msg"][0].lower() + mistake["msg"][1:]
            return what, f"it must be {must_be}{_described(path)}", _retyped(path, line) or _SEE


def _place_of(path: Sequence[str | int]) -> str:
    inner = f" {path[2]} of" if len(path) > _IN_PLACE and isinstance(path[3], str) else ""
    return f" in{inner} place {path[1]}" if len(path) > 1 else ""


def _unknown_key(path: Sequence[str | int], value: Any, where: str) -> tuple[str, str, str]:  # noqa: ANN401 - any TOML value
    from hil.lab.config.key_hints import hint, known_keys  # noqa: PLC0415 - only for a wrong file

    level = [str(part) for part in path]
    meant = hint(level) or (f"[place.{path[0]}]" if len(path) == 1 and isinstance(value, dict) else _SEE)
    return f"unknown key {path[-1]}{where}", f"known are {', '.join(known_keys(level))}", meant


def _described(path: Sequence[str | int]) -> str:
    """What the key at `path` means, with an example."""
    from hil.lab.config.key_hints import field_of  # noqa: PLC0415 - only for a wrong file

    field: FieldInfo | None = field_of([str(part) for part in path if isinstance(part, str)])
    return f" ({field.description.rstrip('.')})" if field is not None and field.description else ""


def _shown(path: Sequence[str | int], value: Any, line: str) -> str:  # noqa: ANN401 - any TOML value
    key = str(path[-1]) if isinstance(path[-1], str) else f"{path[-2]}[{path[-1]}]"
    if key == value:
        return key or '""'
    assigned = _ASSIGNMENT.match(line)
    in_line = assigned is not None and assigned["key"] == key
    return f"{key} = {assigned['value'] if in_line and assigned else repr(value):.80}"


def _retyped(path: Sequence[str | int], line: str) -> str:
    """How a value of the wrong type was probably meant; empty where that is anybody's guess."""
    assigned = _ASSIGNMENT.match(line)
    if len(path) < _IN_PLACE:
        return "[place.NAME], and its keys below"
    if assigned is None or assigned["key"] != path[2]:
        return ""
    return _good_line(assigned["key"], assigned["value"])
