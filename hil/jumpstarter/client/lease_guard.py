"""Guard of a Jumpstarter lease: a process that ends the lease if this process is killed.

The exporter itself makes the board safe as soon as the run's connection ends. The guard ends the lease, so
that the next run need not wait until it expires.
"""

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

__all__ = ["GUARD_ACTION", "end_lease", "guard_arguments", "guard_lease"]

GUARD_ACTION = "hil.jumpstarter.client.lease_guard:end_lease"
GUARD_LIMIT_S = 30.0


def guard_lease(client: str, config: str, name: str) -> Callable[[], None]:
    """Start the guard of a lease that is about to be requested; return a function that ends the guard.

    Args:
        client: Alias or file of the client's configuration; empty: the environment's, or the one in use.
        config: The configuration as YAML: a guard has no environment in which to look an alias up.
        name: The lease's name.
    """
    folder = Path(tempfile.mkdtemp(prefix="hil-lease-"))  # private to this user: the token is in it
    if "/" not in client:
        client = str(folder / "client.yaml")
        Path(client).write_text(config, encoding="utf-8")
    lock = acquire(name, test="a Jumpstarter lease", folder=folder)
    safety = Safety(GUARD_ACTION, guard_arguments(client, name, folder), limit_s=GUARD_LIMIT_S)
    guarded = under_guard(lock, safety)

    def end() -> None:
        guarded.release()
        shutil.rmtree(folder, ignore_errors=True)

    return end


def guard_arguments(client: str, lease: str, folder: Path) -> dict[str, str]:
    """Return the arguments with which a guard calls `end_lease`.

    Args:
        client: Alias or file of the client's configuration.
        lease: The lease's name; empty: there is no lease to end.
        folder: This process's own folder, to be removed.
    """
    file = str(Path(client).absolute()) if "/" in client else client
    return {"client": file, "lease": lease, "folder": str(folder)}


def end_lease(
    serial: str,  # noqa: ARG001 - every action of a guard gets it
    *,
    policy: str = "",  # noqa: ARG001 - the exporter applies its own policy
    client: str = "",
    lease: str = "",
    folder: str = "",
) -> None:
    """End a lease and remove the folder of its run; a guard calls this after its run was killed.

    Args:
        serial: The board.
        policy: The safety policy of the board's place.
        client: Alias or file of the client's configuration.
        lease: The lease's name; empty: there is none, as with an exporter that is reached directly.
        folder: The run's own folder.

    Raises:
        UsageError: The configuration cannot be used.
    """
    try:
        if lease:
            _end(client, lease)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _end(client: str, lease: str) -> None:
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - only a guard that acts pays for it

    from hil.jumpstarter.client.client_config import load_client_config  # noqa: PLC0415 - only a guard that acts pays for it
    from hil.jumpstarter.client.lease import ExporterLease, open_channel  # noqa: PLC0415 - only a guard that acts pays for it

    config = load_client_config(client)
    with start_blocking_portal() as portal:
        channel = open_channel(portal, config)
        portal.call(ExporterLease(config, channel, lease).end)
        portal.call(channel.close)
