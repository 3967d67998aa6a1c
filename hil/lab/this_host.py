"""This machine's own USB as a host of boards; what hil learns of their sticks is kept in the lock folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.host import Host

if TYPE_CHECKING:
    from hil.dutlink.storage.stick_memory import StickMemory

__all__ = ["stick_memory", "this_host"]


def this_host() -> Host:
    """Return this machine's own USB as a host, which keeps what it learns of sticks in the lock folder."""
    return Host(stick_memory=stick_memory)


def stick_memory(serial: str) -> StickMemory:
    """Return the memory of a board's stick on this machine."""
    from hil.lab.stick_sockets import StickSockets  # noqa: PLC0415 - only for boards whose stick is used

    return StickSockets(serial)
