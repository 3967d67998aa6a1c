"""Puts a night's service and timer where systemd finds them, and asks systemd about them.

Every step is checked before the next one: units that `systemd-analyze verify` refuses are not put anywhere.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.lab.files.atomic_file import write_below
from hil.lab.files.trusted_path import refuse_untrusted
from hil.lab.udev.unit_escapes import literal
from hil.nightly.time_of_day import TimeOfDay
from hil.nightly.units import WRITTEN_BY, service, timer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.nightly.units import Schedule

__all__ = ["Units", "is_running"]

_LIMIT_S = 60.0
_DAILY = re.compile(r"^OnCalendar=\*-\*-\* (\d\d):(\d\d):00$", re.MULTILINE)
_NAME = re.compile(r"hil-nightly(-[A-Za-z0-9][A-Za-z0-9_-]{0,50})?", re.ASCII)
_NAME_OF_A_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", re.ASCII)
_MOST_BYTES = 1 << 16
_SYSTEM = Path("/etc/systemd/system")
_OF_THE_MACHINE = ("/etc/systemd", "/run/systemd", "/usr/lib/systemd", "/lib/systemd")
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_ASKED = ("ActiveState", "UnitFileState", "NextElapseUSecRealtime", "LastTriggerUSec")


def is_running() -> bool:
    """Whether systemd runs this host."""
    return _BOOTED.is_dir()


@dataclass(frozen=True, slots=True)
class Units:
    """The service and the timer of one name.

    Attributes:
        name: Of both, without an ending.
        user: Whether they belong to the user's own systemd.
        folder: Where they are kept.
    """

    name: str
    user: bool
    folder: Path

    @classmethod
    def of(cls, name: str, *, user: bool, environ: Mapping[str, str] | None = None) -> Units:
        """Return the units in the folder where systemd looks for them.

        The machine's systemd takes names of ours only: another one could hide a unit of the machine. A user's
        own takes any that no unit of the machine has.

        Raises:
            UsageError: The name is none of a night.
        """
        if not _NAME.fullmatch(name) and not (user and _is_free(name)):
            raise UsageError(
                f"--name {name!r} cannot be a night's name",
                why="it is hil-nightly, or hil-nightly- and letters, digits, dash and underscore",
                remedy="--name hil-nightly-2",
            )
        where = os.environ if environ is None else environ
        config = where.get("XDG_CONFIG_HOME") or _home(where) / ".config"
        return cls(name, user, Path(config) / "systemd" / "user" if user else _SYSTEM)

    @property
    def service(self) -> Path:
        """The service's file."""
        return self.folder / f"{self.name}.service"

    @property
    def timer(self) -> Path:
        """The timer's file."""
        return self.folder / f"{self.name}.timer"

    def time_of_day(self) -> TimeOfDay | None:
        """Return when the timer that is installed starts a night; None if there is none of ours."""
        try:
            found = _DAILY.search(self.timer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return TimeOfDay(int(found[1]), int(found[2])) if found else None

    def write(self, schedule: Schedule) -> None:
        """Write both files, when systemd finds no fault in them.

        Raises:
            UsageError: They belong to another clone, or `hil nightly install` did not write what is there, or
                systemd refuses them, or the folder cannot be written.
            UntrustedFileError: This is root, and other users decide what is in the folder.
        """
        refuse_untrusted(self.folder, "the units' folder", "run it as its owner")
        self._there()
        self._check_owner(schedule)
        with tempfile.TemporaryDirectory(prefix="hil-units-") as draft:
            trial = Units(self.name, self.user, Path(draft))
            trial.service.write_text(service(schedule), encoding="utf-8")
            trial.timer.write_text(timer(schedule), encoding="utf-8")
            trial.verify()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_below(self.folder, self.service.name, service(schedule))
            write_below(self.folder, self.timer.name, timer(schedule))
        except OSError as error:
            raise UsageError(
                f"{error.filename} cannot be written",
                why=str(error.strerror),
                remedy="sudo, or --user for a timer of your own",
            ) from error

    def verify(self) -> None:
        """Have systemd look at both files; without `systemd-analyze` nobody does.

        Raises:
            UsageError: It refuses one.
        """
        if shutil.which("systemd-analyze") is None:
            return
        whose = ("--user",) if self.user else ()
        files = (str(self.service), str(self.timer))
        runtime = {"XDG_RUNTIME_DIR": str(self.folder)}  # it wants one, also where nobody has logged in
        said = _run("systemd-analyze", *whose, "verify", *files, environ=runtime)
        if said.returncode:
            raise UsageError(
                "systemd refuses the units",
                why=said.stderr.strip(),
                remedy=f"see what it says of {self.name}",
            )

    def enable(self) -> None:
        """Have systemd read the files and start the timer, now and whenever the host starts.

        Raises:
            UsageError: It does not do it.
        """
        for command in (("daemon-reload",), ("enable", "--now", self.timer.name)):
            said = self._systemctl(*command)
            if said.returncode:
                raise UsageError(
                    f"systemctl {' '.join(command)} failed",
                    why=said.stderr.strip(),
                    remedy="see journalctl -xe",
                )

    def remove(self) -> list[str]:
        """Stop the timer and remove both files; returns which there were.

        Raises:
            UsageError: `hil nightly install` did not write one of them, or it cannot be removed.
        """
        there = self._there()
        if there and is_running():
            self._systemctl("disable", "--now", self.timer.name)
        try:
            for path in there:
                Path(path).unlink()
        except OSError as error:
            raise UsageError(
                f"{error.filename} cannot be removed", why=str(error.strerror), remedy="sudo"
            ) from error
        if there and is_running():
            self._systemctl("daemon-reload")
        return there

    def _there(self) -> list[str]:
        """Return which of the two files are there.

        Raises:
            UsageError: `hil nightly install` did not write one of them.
        """
        there = [path for path in (self.timer, self.service) if os.path.lexists(path)]
        for path in there:
            if not _is_ours(path):
                raise UsageError(
                    f"{path} is there and is not a night's",
                    why="hil nightly install did not write it",
                    remedy=f"--name {self.name}-2, for a night of another name",
                )
        return [str(path) for path in there]

    def state(self) -> dict[str, str]:
        """Return what systemd knows of the timer; empty where systemd does not run."""
        if not is_running() or not self.timer.exists():
            return {}
        said = self._systemctl("show", self.timer.name, f"--property={','.join(_ASKED)}").stdout
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def _check_owner(self, schedule: Schedule) -> None:
        """Leave the units of another clone alone."""
        try:
            there = self.service.read_text(encoding="utf-8")
        except OSError:
            return
        if f"WorkingDirectory={literal(str(schedule.clone))}\n" not in there:
            raise UsageError(
                f"{self.service} is there and starts another clone's nights",
                why="one name starts one clone",
                remedy=f"--name {self.name}-2, or hil nightly uninstall first",
            )

    def _systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run("systemctl", *(("--user",) if self.user else ()), *arguments)


def _is_free(name: str) -> bool:
    """Return True if a name can be a unit's, and no unit that came with the machine has it."""
    if not _NAME_OF_A_USER.fullmatch(name) or name.startswith("hil"):
        return False
    units = (Path(folder, kind) for folder in _OF_THE_MACHINE for kind in ("system", "user"))
    return not any(
        os.path.lexists(folder / f"{name}.{ending}") for folder in units for ending in ("service", "timer")
    )


def _is_ours(path: Path) -> bool:
    """Return True if a file is a plain one, whose first line says that `hil nightly install` wrote it."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        is_plain = stat.S_ISREG(os.fstat(opened).st_mode)
        first = os.pread(opened, _MOST_BYTES, 0).partition(b"\n")[0] if is_plain else b""
    finally:
        os.close(opened)
    return first.startswith(b"# ") and WRITTEN_BY.encode() in first


def _run(*command: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    everything = {**(environ or {}), **os.environ}
    return subprocess.run(
        command, env=everything, capture_output=True, text=True, check=False, timeout=_LIMIT_S
    )


def _home(environ: Mapping[str, str]) -> Path:
    """Return this user's home folder, or one that does not exist if the user has none."""
    try:
        return Path(environ.get("HOME") or "~").expanduser()
    except RuntimeError:  # neither HOME nor an entry in the password database
        return Path("/nonexistent")
