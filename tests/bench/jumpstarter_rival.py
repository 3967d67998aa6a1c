"""Serves a simulated board by Jumpstarter's session, with our driver or with Jumpstarter's own, until ended.

Theirs finds simulated bus and tty where it looks for real ones; nothing else of it is changed.
"""

from __future__ import annotations

import argparse
import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anyio
import usb.core
from jumpstarter.common import ExporterStatus
from jumpstarter.exporter import Session

from hil.sim.backend.backend import simulated_host
from hil.sim.management.client import ManagementClient


def main() -> None:
    """Serve; prints the port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("ours", "theirs"))
    parser.add_argument("serial")
    parser.add_argument("control_port", type=int)
    parser.add_argument("stick")
    options = parser.parse_args()
    make = _ours if options.kind == "ours" else _theirs
    anyio.run(_serve, make(options.serial, options.control_port, options.stick))


async def _serve(driver: Any) -> None:
    with Session(root_device=driver) as session:
        session.update_status(ExporterStatus.LEASE_READY)
        async with session.serve_tcp_async("127.0.0.1", 0) as port:
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
            await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)  # its end is ours


def _ours(serial: str, control_port: int, _stick: str) -> Any:
    from hil.jumpstarter.exporter.driver import Dutlink  # noqa: PLC0415 - not in their process

    return Dutlink(serial=serial, boards=f"sim@{control_port}", lab="none")


def _theirs(serial: str, control_port: int, stick: str) -> Any:
    from jumpstarter_driver_dutlink.driver import Dutlink  # noqa: PLC0415 - not in our process

    with ManagementClient(control_port) as client:
        host = simulated_host(client.hello())
    backend, find = host.backend(), usb.core.find
    tty = host.dev / "serial" / "by-id" / f"usb-Red_Hat_Inc._Dutlink_{serial}-if00"
    context = SimpleNamespace(list_devices=lambda **_: [SimpleNamespace(device_node=str(tty))])
    with (
        patch("usb.core.find", lambda **asked: find(backend=backend, **asked)),
        patch("pyudev.Context", lambda: context),
    ):
        return Dutlink(serial=serial, storage_device=stick)


if __name__ == "__main__":
    main()
