"""Finds the lab file, reads it, and tells what is wrong with one that is wrong."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.errors import UsageError
from hil.lab.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["FILE_NAME", "SYSTEM_FOLDER", "find_lab", "read_lab"]

FILE_NAME = "lab.toml"
SYSTEM_FOLDER = Path("/etc/hil")

_NONE = "none"
_LARGEST_BYTES = 1 << 20
_PROJECT_ROOTS = (".git", "pyproject.toml")
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def find_lab(asked: str | None, folder: Path, environ: Mapping[str, str] = os.environ) -> Lab:
    """Read the lab file that counts here: the one asked for, the project's, the user's, the machine's.

    Args:
        asked: A path, taken from `folder`; "none" for no file at all; None or empty: `HIL_LAB` decides, and
            without that the first of the other three that exists.
        folder: Where to look for the project.
        environ: The environment.

    Raises:
        UsageError: The file asked for is not there, or the one that counts is wrong.
    """
    named = asked or environ.get("HIL_LAB", "")
    if named == _NONE:
        return Lab()
    if named:
        return read_lab(folder / Path(named).expanduser())
    found = next((file for file in _usual_files(folder, environ) if file.is_file()), None)
    return read_lab(found) if found is not None else Lab()


def read_lab(file: Path) -> Lab:
    """Read a lab file.

    Raises:
        UsageError: It cannot be read, or something in it is wrong: which line, what is allowed there and what
            was probably meant.
    """
    text = _text(file)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(file, text, error) from error
    from pydantic import ValidationError  # noqa: PLC0415 - only for runs that have a lab file

    from hil.lab.place import LabContent  # noqa: PLC0415 - the same

    try:
        places = LabContent.model_validate(content).place
    except ValidationError as error:
        raise _invalid(file, text, error.errors()) from error
    lab = Lab(file, places)
    _check_serials(file, text, lab)
    return lab


def _usual_files(folder: Path, environ: Mapping[str, str]) -> Iterable[Path]:
    for parent in (folder, *folder.parents):
        yield parent / FILE_NAME
        if any((parent / root).exists() for root in _PROJECT_ROOTS):
            break
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    if home:
        yield Path(home) / "hil" / FILE_NAME
    yield SYSTEM_FOLDER / FILE_NAME


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            read = opened.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the lab file {file} cannot be read",
            why=str(error.strerror),
            remedy="name another with --hil-lab or HIL_LAB; none for no file",
        ) from error
    if len(read) > _LARGEST_BYTES:
        raise UsageError(
            f"{file} is no lab file", why="it is larger than 1 MiB", remedy="name the right file"
        )
    try:
        return read.decode("utf-8")
    except UnicodeDecodeError as error:
        line = read.count(b"\n", 0, error.start) + 1
        raise _wrong(file, line, "the text is not UTF-8", "TOML is", "save it as UTF-8") from error


def _wrong(file: Path, line: int, what: str, why: str, remedy: str) -> UsageError:
    return UsageError(f"{file}:{line}: {what}", why=why, remedy=remedy)


def _not_toml(file: Path, text: str, error: tomllib.TOMLDecodeError) -> UsageError:
    where = _WHERE.search(str(error))
    at_end = max(1, len(text.splitlines()))
    line = int(where[1]) if where and where[1] else at_end
    what = _WHERE.sub("", str(error))
    shown = text.splitlines()[line - 1].strip()[:80] if text else ""
    return _wrong(file, line, f"this is not TOML: {what}", f"the line is: {shown}", "see docs/lab-file.md")


def _invalid(file: Path, text: str, mistakes: Sequence[ErrorDetails]) -> UsageError:
    """Tell the first mistake whole, and where the others are."""
    from hil.lab.toml_lines import line_of  # noqa: PLC0415 - only for a wrong file

    in_lines = [(line_of(text, _path(mistake)), mistake) for mistake in mistakes]
    # A key that is missing may be one that is misspelt elsewhere: that goes first.
    in_lines.sort(key=lambda pair: (pair[1]["type"] == "missing", pair[0]))
    line, first = in_lines[0]
    what, why, remedy = _told(first)
    others = ", ".join(str(number) for number, _mistake in in_lines[1:9])
    more = f"; {len(in_lines) - 1} more in line {others}" if others else ""
    return _wrong(file, line, what, why + more, remedy)


def _path(mistake: ErrorDetails) -> tuple[str | int, ...]:
    """Where in the file: without pydantic's own word for a key that is wrong itself."""
    return tuple(part for part in mistake["loc"] if part != "[key]")


def _told(mistake: ErrorDetails) -> tuple[str, str, str]:
    """What, why and what next, of one mistake."""
    from hil.lab.place import LabContent, Place  # noqa: PLC0415 - only for a wrong file

    path = _path(mistake)
    key, in_place = str(path[-1]), len(path) > 2  # noqa: PLR2004 - place, its name, the key
    allowed = Place.model_fields if in_place else LabContent.model_fields
    where = f" in place {path[1]}" if len(path) > 1 else ""
    match mistake["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(key, allowed, n=1)
            known = f"known are {', '.join(allowed)}"
            remedy = f"did you mean {near[0]}?" if near else "take it out, or see docs/lab-file.md"
            if not in_place and not near and key in Place.model_fields:
                remedy = "put it under a [place.NAME]"
            return f"unknown key {key}{where}", known, remedy
        case "missing":
            return f"{key} is missing{where}", "each place names its board", 'serial = "0df10035"'
        case "value_error":
            why = str(mistake["ctx"]["error"])
            return f"{_shown(path, mistake['input'])} cannot be{where}", why, "see docs/lab-file.md"
        case _:
            why = mistake["msg"][0].lower() + mistake["msg"][1:].replace("valid dictionary", "table")
            return f"{_shown(path, mistake['input'])} cannot be{where}", why, "see docs/lab-file.md"


def _shown(path: Sequence[str | int], value: Any) -> str:  # noqa: ANN401 - any TOML value
    key = str(path[-1]) if isinstance(path[-1], str) else f"{path[-2]}[{path[-1]}]"
    return key if key == value else f"{key} = {value!r:.80}"


def _check_serials(file: Path, text: str, lab: Lab) -> None:
    from hil.lab.toml_lines import line_of  # noqa: PLC0415 - only for runs that have a lab file

    owners: dict[str, str] = {}
    for name, place in lab.places.items():
        other = owners.setdefault(place.serial, name)
        if other != name:
            raise _wrong(
                file,
                line_of(text, ("place", name, "serial")),
                f"board {place.serial} is in place {name}",
                f"it is in place {other} already",
                "give each place a board of its own; hil boards lists them",
            )
