"""Find what on this machine would end a guard together with the run that it guards.

A run prints each danger before the first test, and so does `hil doctor`; docs/containers.md explains them.
Sources: pid_namespaces(7), systemd.kill(5), cgroup-v2 (memory.oom.group), capabilities(7).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hil.process_stat import FIRST_PID_NAMESPACE, ancestors

__all__ = ["FIRST_NAME", "INIT_NAME", "Danger", "find_dangers", "is_first"]

INIT_NAME = "hil-init"
"""The process name of a PID 1 that waits for all guards: `hil init`."""

FIRST_NAME = "hil-first"
"""The process name of a PID 1 that is itself a `hil` command, and waits for its own guards only."""

_INITS = frozenset({INIT_NAME, "systemd", "init"})
"""Names of a PID 1 that goes on when a run has ended."""

_CAP_SYS_RESOURCE = 24
_LIMIT_S = 2.0


class Danger(NamedTuple):
    """Something that ends a guard together with its run.

    Attributes:
        what: What ends the guard.
        remedy: What to do about it.
    """

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


def find_dangers(root: Path = Path("/"), pid: int | None = None, *, of_others: bool = False) -> list[Danger]:
    """Return what would end the guards of a process together with it.

    Args:
        root: The folder of `proc` and `sys`.
        pid: The process; None for this one.
        of_others: Answer for a run that is started in the place of this `hil` command.
    """
    me = os.getpid() if pid is None else pid
    inits = _INITS if of_others else _INITS | {FIRST_NAME}
    found = (_first_process(root, me, inits), _memory(root, me), _service(root, me))
    return [danger for danger in found if danger is not None]


def is_first(root: Path = Path("/")) -> bool:
    """Return True if PID 1 is a `hil` command, or a run, that goes on in a child process."""
    return _text(root / "proc/1/comm") == FIRST_NAME


def _first_process(root: Path, me: int, inits: frozenset[str]) -> Danger | None:
    """Return a danger if PID 1 of a container does not wait for guards: the container ends with its PID 1."""
    remedy = "start it as: hil init -- COMMAND (docs/containers.md)"
    if me == 1:
        return Danger("this process is PID 1: if it is killed, the kernel ends its guards with it", remedy)
    namespace = _link(root / f"proc/{me}/ns/pid")
    if namespace in {FIRST_PID_NAMESPACE, ""} or 1 not in ancestors(me, root / "proc"):
        return None
    name = _text(root / "proc/1/comm")
    if name in inits:
        return None
    if name == FIRST_NAME:
        what = "PID 1 of this container is this command, which waits for its own guards only"
        return Danger(what, remedy)
    return Danger(
        f"PID 1 of this container is {name or 'unknown'}, which does not wait for guards: if it ends with "
        "this run, the kernel ends the guards, too",
        remedy,
    )


def _memory(root: Path, me: int) -> Danger | None:
    """Return a danger if the cgroup has memory.oom.group: the kernel then kills all of it at once."""
    if int(_field(root, me, "CapEff") or "0", 16) >> _CAP_SYS_RESOURCE & 1:
        return None  # a guard may ask the kernel to spare it, and does
    group = PurePosixPath(_cgroup(root, me))
    for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
        for folder in (group, *group.parents):
            if _text(root / mount / str(folder).lstrip("/") / "memory.oom.group") == "1":
                return Danger(
                    f"cgroup {folder} has memory.oom.group: out of memory, the kernel ends guards, too",
                    "have `hil safe --all` run when the job has ended (docs/containers.md)",
                )
    return None


def _service(root: Path, me: int) -> Danger | None:
    """Return a danger if the service has KillMode=mixed: systemd then kills what its first process leaves."""
    unit = PurePosixPath(_cgroup(root, me)).name
    if not unit.endswith(".service"):
        return None
    told = _show(unit)
    if "KillMode=mixed" not in told or " safe" in told.partition("ExecStopPost=")[2]:
        return None
    return Danger(
        f"{unit} has KillMode=mixed: when its first process ends, systemd kills its guards",
        "add ExecStopPost=... hil safe --all, or KillMode=control-group (docs/containers.md)",
    )


def _show(unit: str) -> str:
    command = ["systemctl", "show", "--property=KillMode", "--property=ExecStopPost", unit]
    try:
        return subprocess.run(
            command, capture_output=True, check=False, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _cgroup(root: Path, me: int) -> str:
    """Return the cgroup of a process in the unified hierarchy, or an empty string if it has none."""
    lines = _text(root / f"proc/{me}/cgroup").splitlines()
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")


def _field(root: Path, me: int, name: str) -> str:
    lines = _text(root / f"proc/{me}/status").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
