"""Watch for the stick on the exporter's host, by its device node.

A run moves the mux by its own requests or in the board's shell, so the exporter cannot know the stick's
position; only the node tells whether the stick is here.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.dutlink.storage.storage import Position
from hil.dutlink.storage.usb_disks import size_bytes
from hil.errors import HilError
from hil.jumpstarter.protocol.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from hil.dutlink.storage.storage import Storage

__all__ = ["watch_stick"]

_INTERVAL_S = 0.05


async def watch_stick(storage: Callable[[], Storage]) -> AsyncIterator[tuple[Path, int] | None]:
    """Yield node and size of the stick when it appears, and None when it vanishes; for ever.

    Args:
        storage: Returns the board's present storage: a replugged board has a new one.
    """
    last: tuple[Path, int] | None = None
    while True:
        seen = await run_in_thread(_find_stick, storage)
        if seen != last:
            last = seen
            yield last
        await asyncio.sleep(_INTERVAL_S)


def _find_stick(present_storage: Callable[[], Storage]) -> tuple[Path, int] | None:
    try:
        storage = present_storage()
    except HilError:  # the board is lost, or the lease is over
        return None
    if storage.position is Position.HOST and (storage.node is None or storage.is_awaited):
        with suppress(HilError):  # the run that waits for the stick gets this error
            storage.wait_for_node()
    node = storage.verified_node
    size = size_bytes(node) if node is not None else 0
    return (node, size) if node is not None and size else None
