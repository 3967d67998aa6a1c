"""Whether the stick is on the exporter's host now: found by following the mux, then looked at all the time.

A run moves the mux by its own requests or by the board's shell; only the node tells where the stick is.
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

_EVERY_S = 0.05


async def watch_stick(storage: Callable[[], Storage]) -> AsyncIterator[tuple[Path, int] | None]:
    """Yield the stick's node and size when it comes, and None when it goes; without end.

    Args:
        storage: Gives the board's storage as it is now: a replugged board has a new one.
    """
    told: tuple[Path, int] | None = None
    while True:
        seen = await run_in_thread(_seen, storage)
        if seen != told:
            told = seen
            yield told
        await asyncio.sleep(_EVERY_S)


def _seen(now: Callable[[], Storage]) -> tuple[Path, int] | None:
    try:
        storage = now()
    except HilError:  # the board is lost, or the lease is over
        return None
    if storage.position is Position.HOST and (storage.node is None or storage.is_awaited):
        with suppress(HilError):  # whoever asks for the stick is told why there is none
            storage.wait_for_node()
    node = storage.proven_node
    size = size_bytes(node) if node is not None else 0
    return (node, size) if node is not None and size else None
