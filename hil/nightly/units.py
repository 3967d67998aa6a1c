"""The text of what starts a night: a systemd service and its timer, or a crontab line, and its environment.

Sources: systemd.service(5), systemd.kill(5), systemd.timer(5), systemd.syntax(7), crontab(5).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.lab.udev.unit_escapes import assignment, command_line, literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from hil.nightly.schedule import TimeOfDay

__all__ = [
    "WRITTEN_BY",
    "Schedule",
    "cron_line",
    "kept_environment",
    "left_out_variables",
    "nights_in_crontab",
    "service",
    "timer",
]

WRITTEN_BY = "Written by `hil nightly install`"
"""Text in the first line of both files; `uninstall` removes no other files."""

_MEMORY = re.compile(r"[1-9][0-9]*[KMGT]?|([1-9][0-9]?|100)%|infinity", re.ASCII)
_LENGTH = re.compile(r"[1-9][0-9]{0,3}(min|h)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The command of a night, when it starts, and its limits.

    Attributes:
        at: Time of day at which it starts.
        clone: Absolute path of the folder with the tests.
        python: Absolute path of the interpreter that has hil; links in it are not resolved.
        user: User that runs it; empty for the owner of the systemd instance.
        groups: Further groups of that user, such as the group that may open the boards.
        arguments: Arguments of `hil nightly run`.
        memory: Memory limit in systemd's notation: `4G`, `50%`.
        limit: Time limit: `8h`, `90min`.
        also: Further starts, for nights whose time of day summer time skips.
        environment: Environment variables of the unit.

    Raises:
        UsageError: A limit is malformed, or a path has a character that no unit file can hold.
    """

    at: TimeOfDay
    clone: Path
    python: Path
    user: str = ""
    groups: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    memory: str = "50%"
    limit: str = "8h"
    also: tuple[datetime, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _MEMORY.fullmatch(self.memory):
            raise UsageError(f"--memory {self.memory!r} is no limit", remedy="--memory 4G, or --memory 50%")
        if not _LENGTH.fullmatch(self.limit):
            raise UsageError(f"--limit {self.limit!r} is no limit", remedy="--limit 8h, or --limit 90min")
        for text in (str(self.clone), str(self.python), *self.arguments, *self.environment.values()):
            if any(ord(character) < ord(" ") for character in text):
                raise UsageError(f"{text!r} cannot be in a unit file", why="it has a control character")

    @property
    def hil(self) -> tuple[str, ...]:
        """The command that runs `hil` with the interpreter."""
        return (str(self.python), "-m", "hil.cli.main")

    @property
    def run(self) -> tuple[str, ...]:
        """The command of a night."""
        return (*self.hil, "nightly", "run", *self.arguments)

    @property
    def safe(self) -> tuple[str, ...]:
        """The command that runs after the night in any case."""
        return (*self.hil, "safe", "--all")


def service(schedule: Schedule) -> str:
    """Return the service's file."""
    user = f"User={schedule.user}\n" if schedule.user else ""
    groups = f"SupplementaryGroups={' '.join(schedule.groups)}\n" if schedule.groups else ""
    environment = "".join(f"Environment={assignment(*one)}\n" for one in schedule.environment.items())
    return f"""\
# Runs the hardware tests once. {WRITTEN_BY}; `hil nightly uninstall` removes it.
[Unit]
Description=Nightly hardware-in-the-loop run in {literal(str(schedule.clone))}

[Service]
Type=oneshot
{user}{groups}{environment}WorkingDirectory={literal(str(schedule.clone))}
ExecStart={command_line(*schedule.run)}
# In any case, also after a kill or a time-out: every DUT off, every stick detached.
ExecStopPost={command_line(*schedule.safe)}
# SIGINT as from Ctrl-C, only to the main process, which passes it on: a power-off sequence may take 20 s.
KillMode=mixed
KillSignal=SIGINT
TimeoutStopSec=90
# A night that hangs ends before the next one begins.
TimeoutStartSec={schedule.limit}
MemoryMax={schedule.memory}
"""


def timer(schedule: Schedule) -> str:
    """Return the file of the timer that starts the service of the same name."""
    also = "".join(f"OnCalendar={night:%Y-%m-%d %H:%M}:00\n" for night in schedule.also)
    if also:
        also = f"# In these nights summer time begins, and {schedule.at} does not exist.\n{also}"
    return f"""\
# Starts the service of the same name every night. {WRITTEN_BY}.
[Unit]
Description=Every night at {schedule.at}: hardware-in-the-loop run in {literal(str(schedule.clone))}

[Timer]
OnCalendar=*-*-* {schedule.at}:00
{also}# A host that slept through it runs when it wakes.
Persistent=true

[Install]
WantedBy=timers.target
"""


def cron_line(schedule: Schedule) -> str:
    """Return a line for `crontab -e`; cron mails the output on standard error."""
    environment = "".join(f"{name}={shlex.quote(value)} " for name, value in schedule.environment.items())
    run, safe = environment + shlex.join(schedule.run), environment + shlex.join(schedule.safe)
    line = f"cd {shlex.quote(str(schedule.clone))} && {run} >/dev/null; {safe} >/dev/null"
    return f"{schedule.at.cron} " + line.replace("%", r"\%")  # cron replaces a bare % by a line end


_CRONTAB_LIMIT_S = 10.0
_STARTS_A_NIGHT = re.compile(r"\s*[^#\s].*(hil|hil\.cli\.main|nox .*-s) nightly\b")


def nights_in_crontab() -> list[str] | None:
    """Return the lines of this user's crontab that start a night; None if crontab(1) is not installed."""
    if shutil.which("crontab") is None:
        return None
    crontab = subprocess.run(
        ("crontab", "-l"),
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
        timeout=_CRONTAB_LIMIT_S,
    )
    return [line.strip() for line in crontab.stdout.splitlines() if _STARTS_A_NIGHT.match(line)]


_KEPT = ("HIL_BOARDS", "HIL_LAB", "HIL_LOCK_DIR")
_PATHS = ("HIL_LAB", "HIL_LOCK_DIR")
_NO_FILE = "none"

_OF_A_RUN = ("HIL_LEASE", "HIL_END_WITH", "HIL_COMMIT", "HIL_BOARD", "HIL_PLACE", "HIL_STICK", "HIL_TTY")
"""Variables that a lease or a run sets for its children; they have no meaning in another run."""


def kept_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that choose boards, lab and locks, with absolute paths."""
    given = os.environ if environ is None else environ
    kept = {name: given[name] for name in _KEPT if given.get(name)}
    return {
        name: str(Path(value).absolute()) if name in _PATHS and value != _NO_FILE else value
        for name, value in kept.items()
    }


def left_out_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of other `HIL_` variables that are set here, which a night does not get."""
    given = os.environ if environ is None else environ
    known = {*_KEPT, *_OF_A_RUN}
    return sorted(name for name in given if name.startswith("HIL_") and name not in known and given[name])
