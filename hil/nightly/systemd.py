"""Install a night's service and timer for systemd, remove them, and ask systemd about them.

Units that `systemd-analyze verify` refuses are not installed.
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
from hil.nightly.schedule import TimeOfDay
from hil.nightly.units import WRITTEN_BY, service, timer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.nightly.units import Schedule

__all__ = ["Units", "is_running"]

_LIMIT_S = 60.0
_DAILY = re.compile(r"^OnCalendar=\*-\*-\* (\d\d):(\d\d):00$", re.MULTILINE)
_NAME = re.compile(r"hil-nightly(-[A-Za-z0-9][A-Za-z0-9_-]{0,50})?", re.ASCII)
_USER_UNIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", re.ASCII)
_MAX_BYTES = 1 << 16
_SYSTEM = Path("/etc/systemd/system")
_SYSTEM_FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/lib/systemd", "/lib/systemd")
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_PROPERTIES = ("ActiveState", "UnitFileState", "NextElapseUSecRealtime", "LastTriggerUSec")


def is_running() -> bool:
    """Return True if systemd runs this host."""
    return _BOOTED.is_dir()


@dataclass(frozen=True, slots=True)
class Units:
    """A service and the timer of the same name.

    Attributes:
        name: Name of both, without a suffix.
        user: Whether they belong to the user's own systemd instance.
        folder: The folder of their files.
    """

    name: str
    user: bool
    folder: Path

    @classmethod
    def of(cls, name: str, *, user: bool, environ: Mapping[str, str] | None = None) -> Units:
        """Return the units in the folder where systemd looks for them.

        For the system's instance, names must begin with `hil-nightly`, since another name could hide a system
        unit. For a user's instance, any name will do that no system unit has.

        Raises:
            UsageError: The name is not allowed.
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
        """Return the time of day at which the installed timer starts a night, or None without a timer."""
        try:
            found = _DAILY.search(self.timer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return TimeOfDay(int(found[1]), int(found[2])) if found else None

    def write(self, schedule: Schedule) -> None:
        """Write both files after systemd has verified them.

        Raises:
            UsageError: The units belong to another clone, or `hil nightly install` did not write the existing
                files, or systemd refuses the units, or the folder cannot be written.
            UntrustedFileError: The process is root's, and other users decide what is in the folder.
        """
        refuse_untrusted(self.folder, "the units' folder", "run it as its owner")
        self._existing()
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
        """Verify both files with `systemd-analyze`, if it is installed.

        Raises:
            UsageError: systemd refuses one of the files.
        """
        if shutil.which("systemd-analyze") is None:
            return
        whose = ("--user",) if self.user else ()
        files = (str(self.service), str(self.timer))
        runtime = {"XDG_RUNTIME_DIR": str(self.folder)}  # it needs one, also if no user has logged in
        result = _run("systemd-analyze", *whose, "verify", *files, environ=runtime)
        if result.returncode:
            raise UsageError(
                "systemd refuses the units",
                why=result.stderr.strip(),
                remedy=f"see what it says of {self.name}",
            )

    def enable(self) -> None:
        """Make systemd load the files and start the timer, now and each time the host starts.

        Raises:
            UsageError: A `systemctl` command failed.
        """
        for command in (("daemon-reload",), ("enable", "--now", self.timer.name)):
            result = self._systemctl(*command)
            if result.returncode:
                raise UsageError(
                    f"systemctl {' '.join(command)} failed",
                    why=result.stderr.strip(),
                    remedy="see journalctl -xe",
                )

    def remove(self) -> list[str]:
        """Stop the timer, remove both files, and return their paths.

        Raises:
            UsageError: `hil nightly install` did not write one of them, or it cannot be removed.
        """
        existing = self._existing()
        if existing and is_running():
            self._systemctl("disable", "--now", self.timer.name)
        try:
            for path in existing:
                Path(path).unlink()
        except OSError as error:
            raise UsageError(
                f"{error.filename} cannot be removed", why=str(error.strerror), remedy="sudo"
            ) from error
        if existing and is_running():
            self._systemctl("daemon-reload")
        return existing

    def _existing(self) -> list[str]:
        """Return the paths of the two files that exist.

        Raises:
            UsageError: `hil nightly install` did not write one of them.
        """
        existing = [path for path in (self.timer, self.service) if os.path.lexists(path)]
        for path in existing:
            if not _is_ours(path):
                raise UsageError(
                    f"{path} exists and is not a night's",
                    why="hil nightly install did not write it",
                    remedy=f"--name {self.name}-2, for a night of another name",
                )
        return [str(path) for path in existing]

    def state(self) -> dict[str, str]:
        """Return systemd's properties of the timer; empty if systemd does not run or has no such timer."""
        if not is_running() or not self.timer.exists():
            return {}
        shown = self._systemctl("show", self.timer.name, f"--property={','.join(_PROPERTIES)}").stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def _check_owner(self, schedule: Schedule) -> None:
        """Refuse to overwrite the units of another clone."""
        try:
            service_text = self.service.read_text(encoding="utf-8")
        except OSError:
            return
        if f"WorkingDirectory={literal(str(schedule.clone))}\n" not in service_text:
            raise UsageError(
                f"{self.service} exists and starts another clone's nights",
                why="one name starts one clone",
                remedy=f"--name {self.name}-2, or hil nightly uninstall first",
            )

    def _systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run("systemctl", *(("--user",) if self.user else ()), *arguments)


def _is_free(name: str) -> bool:
    """Return True if a name can be a unit's, and no system unit has it."""
    if not _USER_UNIT_NAME.fullmatch(name) or name.startswith("hil"):
        return False
    units = (Path(folder, kind) for folder in _SYSTEM_FOLDERS for kind in ("system", "user"))
    return not any(
        os.path.lexists(folder / f"{name}.{ending}") for folder in units for ending in ("service", "timer")
    )


def _is_ours(path: Path) -> bool:
    """Return True for a plain file whose first line says that `hil nightly install` wrote it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        is_plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        first = os.pread(descriptor, _MAX_BYTES, 0).partition(b"\n")[0] if is_plain else b""
    finally:
        os.close(descriptor)
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
