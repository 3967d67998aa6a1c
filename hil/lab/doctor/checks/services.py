"""Check the systemd services of hil: their lock folder, and that root runs no file of other users."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from hil.lab.doctor.checks.usb_access import ELSEWHERE
from hil.lab.doctor.finding import ok, problem, skipped
from hil.lab.files.trusted_path import why_untrusted_by_root
from hil.lab.udev.unit_escapes import first_word, literal
from hil.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Findings

__all__ = ["services"]

_FOLDER = "etc/systemd/system"
_OURS = re.compile(r"hil-(safe@?|nightly[A-Za-z0-9_-]*)\.service")
_LOCKS = re.compile(r'^Environment="?HIL_LOCK_DIR=(.*?)"?$', re.MULTILINE)
_USER = re.compile(r"^User=(?!root$|0$).", re.MULTILINE)
_COMMAND = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)
_WORKS_IN = re.compile(r"^WorkingDirectory=(.*)$", re.MULTILINE)
_NAMED_FOLDER = re.compile(r"(?m)^/.*\S|(?<=')/[^'\n]+(?=')")
_MOST_FILES = 20_000
_WRITE_AGAIN = "sudo --preserve-env=HIL_LOCK_DIR hil udev --install, or hil nightly install    (or edit it)"


def services(context: DoctorContext) -> Findings:
    """Check whether services use this command's lock folder, and whether others may change their programs."""
    host_info = context.host_info
    if not host_info.has_boards:
        yield skipped("services", ELSEWHERE)
        return
    units = [file for file in host_info.folders(_FOLDER) if _OURS.fullmatch(file.name)]
    well = True
    for unit in units:
        text, locks = host_info.text(f"{_FOLDER}/{unit.name}"), os.environ.get("HIL_LOCK_DIR", "")
        theirs = "".join(_LOCKS.findall(text)[-1:])
        if theirs not in {locks, literal(locks)}:
            well = False
            why = "a service and a run may use one board at the same time"
            says = f"{unit} has HIL_LOCK_DIR={theirs}, this command has HIL_LOCK_DIR={locks}"
            yield problem("services", says, why=why, fix=_WRITE_AGAIN)
        if others := _why_program_is_untrusted(text, host_info.root):
            well = False
            yield problem(
                "services",
                f"{unit} runs as root a file that others may change: {others}",
                why="it has no User=",
                fix=_WRITE_AGAIN,
            )
    if well:
        yield ok("services", f"{', '.join(unit.name for unit in units) or 'none is installed'}")


def _why_program_is_untrusted(text: str, root: Path) -> str:
    """Return which other user may change what a unit of root runs: program, code, or folder; else empty."""
    command = _COMMAND.search(text)
    if _USER.search(text) or command is None:
        return ""
    program = root / first_word(command[1]).lstrip("/")
    folders = [root / folder.strip("\"' /") for folder in _WORKS_IN.findall(text)[-1:]]
    files = chain([program], _code_of(program, root), folders, *map(_files_in, folders))
    return next(filter(None, map(why_untrusted_by_root, files)), "")


def _code_of(python: Path, root: Path) -> Iterator[Path]:
    """Yield where an interpreter finds hil: its package folders, and the folders that these name (`site`).

    An editable installation is a folder that a package folder names.
    """
    prefixes = {python.parent.parent, *([python.resolve().parent.parent] if root == Path("/") else [])}
    for site in (site for prefix in prefixes for site in prefix.glob("lib/python3*/*-packages")):
        yield site
        named = [site]
        for pth in (*site.glob("*.pth"), *site.glob("__editable__*.py")):
            yield pth
            with suppress(OSError):
                text = read_regular(pth).decode(errors="replace")
                named += [root / path.lstrip("/") for path in _NAMED_FOLDER.findall(text)]
        yield from named[1:]
        yield from (init for folder in named if (init := folder / "hil/__init__.py").exists())


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files and folders below a folder, at most `_MOST_FILES`."""
    below = ((Path(here, name) for name in (*folders, *files)) for here, folders, files in os.walk(folder))
    return islice(chain.from_iterable(below), _MOST_FILES)
