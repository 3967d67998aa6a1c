"""A guard beside each Jumpstarter lease: it ends the lease when this process is killed, whenever that is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GUARD_ACTION", "guard_arguments", "guard_lease"]

GUARD_ACTION = "hil.jumpstarter.client.guard_process:end_lease"
GUARD_LIMIT_S = 30.0


def guard_lease(client: str, config: str, name: str) -> Callable[[], None]:
    """Start the guard of a lease that will be asked for; returns what ends the guard.

    Args:
        client: Alias or file of the client's configuration; empty: the environment's, or the one in use.
        config: What stands in it, as YAML: a guard has no environment in which to find it by its alias.
        name: The lease's.
    """
    folder = Path(tempfile.mkdtemp(prefix="hil-lease-"))  # nobody else may enter: there is a token in it
    if "/" not in client:
        client = str(folder / "client.yaml")
        Path(client).write_text(config, encoding="utf-8")
    lock = acquire(name, test="a Jumpstarter lease", folder=folder)
    guarded = under_guard(
        lock, Safety(GUARD_ACTION, guard_arguments(client, name, folder), limit_s=GUARD_LIMIT_S)
    )

    def end() -> None:
        guarded.release()
        shutil.rmtree(folder, ignore_errors=True)

    return end


def guard_arguments(client: str, lease: str, folder: Path) -> dict[str, str]:
    """Return what a guard must know to end a lease.

    Args:
        client: Alias or file of the client's configuration.
        lease: The lease's name; empty: there is none to end.
        folder: The process's own, which goes with it.
    """
    file = str(Path(client).absolute()) if "/" in client else client
    return {"client": file, "lease": lease, "folder": str(folder)}
