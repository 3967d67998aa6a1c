"""Find and read the lab file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError, name_boards
from hil.lab.config.lab import Lab
from hil.regular_file import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["FILE_NAME", "INSTEAD", "SYSTEM_FOLDER", "find_lab", "parse_lab", "project_folder", "read_lab"]

FILE_NAME = "lab.toml"
SYSTEM_FOLDER = Path("/etc/hil")
INSTEAD = f"run it as the lab's owner, or let root own file and folder ({SYSTEM_FOLDER}), or HIL_LAB=none"

_NONE = "none"
_LARGEST_BYTES = 256 << 10
"""Enough for some 600 places. Locating a mistake in a larger file would take minutes."""

_PROJECT_ROOTS = (".git", "pyproject.toml")


def find_lab(asked: str | None, folder: Path, environ: Mapping[str, str] = os.environ) -> Lab:
    """Read the lab file that applies: the named one, else the project's, the user's, or the machine's.

    Args:
        asked: A path, relative to `folder`; "none" for no lab file; None or empty for `HIL_LAB`, or, without
            that variable, for the first of the other three that exists.
        folder: Where to look for the project.
        environ: The environment.

    Raises:
        UsageError: The named file does not exist, or the file that applies is wrong.
        UntrustedFileError: This user is root, and other users control the file.
    """
    named = asked or environ.get("HIL_LAB", "")
    if named == _NONE:
        return Lab()
    if named:
        return read_lab(folder / _with_home(named))
    found = next((file for file in _usual_files(folder, environ) if _is_file(file)), None)
    return read_lab(found) if found is not None else Lab()


def read_lab(file: Path) -> Lab:
    """Read a lab file.

    Raises:
        UsageError: The file cannot be read or is wrong; the error names the line, what is allowed there, and
            what was probably meant.
        UntrustedFileError: This user is root, and other users control the file.
    """
    from hil.lab.files.trusted_path import refuse_untrusted  # noqa: PLC0415 - only for runs that have a lab file

    refuse_untrusted(file, "the lab file", INSTEAD)
    return parse_lab(file, _text(file))


def parse_lab(file: Path, text: str) -> Lab:
    """Read the text of a lab file.

    Args:
        file: The file's name in errors.
        text: The whole text.

    Raises:
        UsageError: As `read_lab`.
    """
    import tomllib  # noqa: PLC0415 - only for runs that have a lab file

    from hil.lab.config.toml_lines import DEEPEST, first_too_deep  # noqa: PLC0415 - only for runs that have a lab file

    if (line := first_too_deep(text)) is not None:
        from hil.lab.config.errors import lab_file_error  # noqa: PLC0415 - only for a wrong file

        raise lab_file_error(
            file, line, "a key of too many parts", f"at most {DEEPEST} are known", "see docs/lab-file.md"
        )
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        from hil.lab.config.errors import toml_error  # noqa: PLC0415 - only for a wrong file

        raise toml_error(file, text, error) from error
    except (RecursionError, ValueError) as error:  # arrays in arrays without end, a number of 10,000 digits
        why = "its values are nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{file} is no lab file", why=why, remedy="see docs/lab-file.md") from error
    from hil.lab.config.place import LabContent  # noqa: PLC0415 - only for runs that have a lab file
    from hil.lab.config.tables import WrongTableError, read_table  # noqa: PLC0415 - only for runs that have a lab file

    try:
        places = read_table(LabContent, content).place
    except WrongTableError as error:
        from hil.lab.config.errors import validation_error  # noqa: PLC0415 - only for a wrong file

        raise validation_error(file, text, error.mistakes) from None
    lab = Lab(file, places)
    _check_serials(file, text, lab)
    name_boards({name: place.serial for name, place in places.items()}, of_places=True)
    return lab


def project_folder(folder: Path) -> Path:
    """Return the root folder of the project that `folder` is in, where the project's lab file belongs."""
    roots = (
        each for each in (folder, *folder.parents) if any((each / root).exists() for root in _PROJECT_ROOTS)
    )
    return next(roots, folder)


def _usual_files(folder: Path, environ: Mapping[str, str]) -> Iterable[Path]:
    for parent in (folder, *folder.parents):
        if parent == folder or not _is_world_writable(parent):
            yield parent / FILE_NAME
        if any((parent / root).exists() for root in _PROJECT_ROOTS):
            break
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    if home:
        yield Path(home) / "hil" / FILE_NAME
    yield SYSTEM_FOLDER / FILE_NAME


def _with_home(named: str) -> Path:
    try:
        return Path(named).expanduser()
    except RuntimeError as error:  # `~nouser`, or a user without an entry in the password database and HOME
        raise UsageError(
            f"the lab file {named} cannot be found",
            why=f"there is no home folder for it ({error})",
            remedy="name it by its full path",
        ) from error


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # the folder may be closed to this user, as another user's HOME
        return False


def _is_world_writable(folder: Path) -> bool:
    """Return True if every user may make files in a folder, as in /tmp: such a file is no project's."""
    try:
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def _text(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            read = opened.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the lab file {file} cannot be read",
            why=str(error.strerror),
            remedy="name another with --hil-lab or HIL_LAB; none for no file",
        ) from error
    if len(read) > _LARGEST_BYTES:
        raise UsageError(
            f"{file} is no lab file",
            why=f"it is larger than {_LARGEST_BYTES >> 10} KiB",
            remedy="name the right file",
        )
    try:
        return read.decode("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        line = read.count(b"\n", 0, error.start) + 1
        from hil.lab.config.errors import lab_file_error  # noqa: PLC0415 - only for a wrong file

        raise lab_file_error(file, line, "the text is not UTF-8", "TOML is", "save it as UTF-8") from error


def _check_serials(file: Path, text: str, lab: Lab) -> None:
    from hil.lab.config.toml_lines import line_of  # noqa: PLC0415 - only for runs that have a lab file

    owners: dict[str, str] = {}
    for name, place in lab.places.items():
        other = owners.setdefault(place.serial, name)
        if other != name:
            from hil.lab.config.errors import lab_file_error  # noqa: PLC0415 - only for a wrong file

            raise lab_file_error(
                file,
                line_of(text, ("place", name, "serial")),
                f"board {place.serial} is in place {name}",
                f"it is in place {other} already",
                "give each place its own board; hil boards lists them",
            )
