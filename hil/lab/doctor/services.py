"""Services that systemd starts: they lock where commands do; root runs nothing that others may change."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from hil.lab.doctor.finding import ok, problem, unchecked
from hil.lab.doctor.usb_access import ELSEWHERE
from hil.lab.trusted_path import who_decides_beside_root
from hil.lab.unit_words import first_word, literal

if TYPE_CHECKING:
    from pathlib import Path

    from hil.lab.doctor.bench import Bench
    from hil.lab.doctor.finding import Findings

__all__ = ["services"]

_FOLDER = "etc/systemd/system"
_OURS = re.compile(r"hil-(safe@?|nightly[A-Za-z0-9_-]*)\.service")
_LOCKS = re.compile(r'^Environment="?HIL_LOCK_DIR=(.*?)"?$', re.MULTILINE)
_USER = re.compile(r"^User=(?!root$|0$).", re.MULTILINE)
_COMMAND = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)
_WRITE_AGAIN = "sudo --preserve-env=HIL_LOCK_DIR hil udev --install, or hil nightly install    (or edit it)"


def services(bench: Bench) -> Findings:
    """Do services lock where this command does, and may nobody else change what they run as root?"""
    machine = bench.machine
    if not machine.has_boards:
        yield unchecked("services", ELSEWHERE)
        return
    units = [file for file in machine.folders(_FOLDER) if _OURS.fullmatch(file.name)]
    well = True
    for unit in units:
        text, locks = machine.text(f"{_FOLDER}/{unit.name}"), os.environ.get("HIL_LOCK_DIR", "")
        theirs = "".join(_LOCKS.findall(text)[-1:])
        if theirs not in {locks, literal(locks)}:
            well = False
            why = "then a service and a run may have one board at the same time"
            says = f"{unit} has HIL_LOCK_DIR={theirs}, this command has HIL_LOCK_DIR={locks}"
            yield problem("services", says, why=why, mend=_WRITE_AGAIN)
        if others := _who_changes_its_program(text, machine.root):
            well = False
            yield problem(
                "services",
                f"{unit} runs as root what others may change: {others}",
                why="it has no User=",
                mend=_WRITE_AGAIN,
            )
    if well:
        yield ok("services", f"{', '.join(unit.name for unit in units) or 'none is installed'}")


def _who_changes_its_program(text: str, root: Path) -> str:
    command = _COMMAND.search(text)
    if _USER.search(text) or command is None:
        return ""
    return who_decides_beside_root(root / first_word(command[1]).lstrip("/"))
