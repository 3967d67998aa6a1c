"""Edit a lab file and keep everything else in it: comments, order, other places."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import tomlkit

from hil.errors import UsageError
from hil.lab.config.lab_file import INSTEAD, parse_lab
from hil.lab.config.place import NAME, place_name
from hil.lab.files.atomic_file import write_atomically
from hil.lab.files.trusted_path import refuse_untrusted
from hil.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tomlkit.items import Table

    from hil.lab.config.lab import Lab
    from hil.lab.enroll.survey import Survey

__all__ = ["LabFileEditor", "default_name", "split_words"]

_HEADING = "The places of this lab; docs/lab-file.md describes their keys."


class LabFileEditor:
    """An editor for a lab file.

    Args:
        file: The file; `write` makes it if it does not exist.

    Raises:
        UsageError: The file cannot be read, or is wrong.
        UntrustedFileError: This user is root, and other users control the file.
    """

    def __init__(self, file: Path) -> None:
        refuse_untrusted(file, "the lab file", INSTEAD)
        self.file = file
        self._before = _read(file)
        self.lab: Lab = parse_lab(file, self._before)
        self._document = tomlkit.parse(self._before)
        if not self._before:
            self._document.add(tomlkit.comment(_HEADING))

    @property
    def text(self) -> str:
        """The edited text."""
        return tomlkit.dumps(self._document)

    @property
    def diff(self) -> str:
        """The changes as a unified diff; empty if there are none."""
        lines = difflib.unified_diff(
            self._before.splitlines(), self.text.splitlines(), str(self.file), str(self.file), lineterm=""
        )
        return "\n".join(lines) if self.text != self._before and self._has_places() else ""

    def add(self, name: str, serial: str, found: Survey, tags: list[str]) -> None:
        """Add a board's place, or update it with what the survey found, unless the file says the same.

        Raises:
            UsageError: The board is in another place, or the place has another board.
        """
        self.check_name(name, serial)
        now = self.lab.places.get(name)
        keys: dict[str, object] = {"serial": serial}
        if tags:
            keys["tags"] = sorted({*tags, *(now.tags if now else ())})
        if found.stick and not self._says_so(name, found.stick):
            keys["stick"] = str(found.stick)
        if found.spoke and not (now and now.console and Path(now.console).exists()):
            keys["console"] = str(found.console) if found.console else None
        self.set_place(name, keys)

    def set_place(self, name: str, keys: Mapping[str, object]) -> None:
        """Set keys of a place; None removes a key. A key that has the value already stays as it is written.

        Raises:
            UsageError: The lab file would be wrong; the edited text is unchanged.
        """
        kept = self.text
        place = self._place(name)
        for key, value in keys.items():
            if value is None:
                place.pop(key, None)
            elif key not in place or place[key] != value:
                place[key] = value
        try:
            self.lab = parse_lab(self.file, self.text)
        except UsageError:
            self._document = tomlkit.parse(kept)
            raise

    def write(self) -> None:
        """Replace the file.

        Raises:
            UsageError: The file cannot be written, or was changed since it was read; it is unchanged.
        """
        if _read(self.file) != self._before:
            raise UsageError(
                f"{self.file} was changed while it was edited here",
                why="writing it now would lose that change",
                remedy="once more: hil enroll",
            )
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.file, self.text)
        except OSError as error:
            why = f"{error.strerror}; it is unchanged"
            remedy = "name another with --file, or make room"
            raise UsageError(f"{self.file} cannot be written", why=why, remedy=remedy) from error
        self._before = self.text

    def check_name(self, name: str, serial: str) -> None:
        """Refuse a name that this board's place cannot have.

        Raises:
            UsageError: The name is not valid, the board is in another place, or the place has another board.
        """
        try:
            place_name(name)
        except ValueError as error:
            raise UsageError(
                f"board {serial} cannot become place {name!r}", why=str(error), remedy="take another name"
            ) from error
        other = self.lab.name_of(serial)
        if other not in {"", name}:
            why = f"{self.file} calls its place {other}"
            remedy = f"leave --name out, or rename [place.{other}] there"
            raise UsageError(f"board {serial} cannot become place {name}", why=why, remedy=remedy)
        place = self.lab.places.get(name)
        if place is not None and place.serial != serial:
            why = f"{self.file} has board {place.serial} there"
            remedy = f"take another name, or remove [place.{name}] if that board is gone for good"
            raise UsageError(f"board {serial} cannot become place {name}", why=why, remedy=remedy)

    def _says_so(self, name: str, stick: Path) -> bool:
        """Return True if the file need not name a stick: it names it, or another place has that name.

        Sticks without serial numbers share a name; then only the mux tells them apart.
        """
        now = self.lab.places.get(name)
        if now is not None and now.stick and _same_node(now.stick, stick):
            return True
        return any(place.stick == str(stick) for other, place in self.lab.places.items() if other != name)

    def _place(self, name: str) -> Table:
        places = self._document.setdefault("place", tomlkit.table(is_super_table=True))
        if name not in places:
            places[name] = tomlkit.table()
        place: Table = places[name]
        return place

    def _has_places(self) -> bool:
        return bool(self._document.get("place"))


def _same_node(written: str, found: Path) -> bool:
    """Return True if two paths lead to one device, such as a by-path link and a by-id link."""
    path = Path(written)
    return path == found or (path.exists() and found.exists() and path.samefile(found))


def _read(file: Path) -> str:
    try:
        return read_regular(file).decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the lab file {file} cannot be read", why=str(error), remedy="name another with --file"
        ) from error


def split_words(text: str) -> list[str]:
    """Split a text at commas and white space; return each word once, in order."""
    return list(dict.fromkeys(re.findall(r"[^\s,]+", text)))


def default_name(lab: Lab, serial: str, stored: str) -> str:
    """Return a name for a new place: the name that the board stores, if it is valid and free."""
    usable = NAME.fullmatch(stored) and stored not in lab.places
    return stored if usable else f"board-{serial}"
