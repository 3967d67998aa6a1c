"""What a guard does when a run with a remote board was killed.

The board itself is made safe by its exporter, the moment the run's connection ends; the guard ends the lease,
so that the next one need not wait for its time to pass.
"""

from __future__ import annotations

import shutil

__all__ = ["end_lease"]


def end_lease(
    serial: str,  # noqa: ARG001 - every action of a guard gets it
    *,
    policy: str = "",  # noqa: ARG001 - the exporter's place has its own
    client: str = "",
    lease: str = "",
    folder: str = "",
) -> None:
    """End a lease, and remove what the run left behind.

    Args:
        serial: The board.
        policy: What its place calls safe.
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
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - a guard pays for it when it must

    from hil.jumpstarter.client.client_config import load_client_config  # noqa: PLC0415 - as above
    from hil.jumpstarter.client.lease import ExporterLease  # noqa: PLC0415 - as above
    from hil.jumpstarter.client.leased import open_channel  # noqa: PLC0415 - as above

    config = load_client_config(client)
    with start_blocking_portal() as portal:
        channel = open_channel(portal, config)
        portal.call(ExporterLease(config, channel, lease).end)
        portal.call(channel.close)
