"""The real systemd in a namespace of its own, with only the units that a test installs."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OwnSystemd", "own_systemd"]

PROGRAM = Path("/lib/systemd/systemd")
TARGETS = Path("/lib/systemd/system")
NEEDED = ("sysinit.target", "basic.target", "timers.target", "multi-user.target", "shutdown.target")
START = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/targets
mount -t tmpfs tmpfs /etc/systemd/system
cp -L {targets} /run/targets/
exec env -i "PATH=$PATH" container=hil SYSTEMD_LOG_TARGET=null \
    SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/targets {program} --system --unit=timers.target
"""
STARTS_WITHIN_S = 20.0
LIMIT_S = 100.0


class OwnSystemd:
    """One that runs.

    Args:
        leader: Its process, as it is called outside.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def run(self, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace of this systemd."""
        enter = ["nsenter", "--target", str(self._leader), "--pid", "--mount", f"--wd={cwd or '/'}"]
        return subprocess.run(
            [*enter, *command], capture_output=True, check=False, text=True, timeout=LIMIT_S
        )

    def tells(self, unit: str, name: str) -> str:
        """What it tells of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()


@contextmanager
def own_systemd() -> Iterator[OwnSystemd]:
    """Start a systemd for the `with` block; skip the test if this user or this kernel does not allow it."""
    if os.geteuid() != 0 or not PROGRAM.exists() or not all(map(shutil.which, ("unshare", "nsenter"))):
        pytest.skip("a systemd of one's own needs root, systemd and util-linux")
    targets = " ".join(str(TARGETS / name) for name in NEEDED)
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "bash", "-c"]
    starter = subprocess.Popen([*command, START.format(targets=targets, program=PROGRAM)])
    try:
        leader = until(lambda: _running(starter), STARTS_WITHIN_S)
        if not leader:
            pytest.skip("systemd does not run in a namespace here")
        yield OwnSystemd(leader)
    finally:
        starter.kill()  # and with it, in its namespace, everything else
        starter.wait()


def _running(starter: subprocess.Popen[bytes]) -> int | None:
    """The first process of the namespace, once it answers as systemd."""
    children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children")
    leader = children.read_text("ascii").split() if starter.poll() is None else []
    if not leader:
        return None
    state = OwnSystemd(int(leader[0])).run("systemctl", "is-system-running").stdout.strip()
    return int(leader[0]) if state in {"running", "degraded"} else None
