"""This machine's own USB as a host of boards; what is learned of their sticks is kept beside the locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.host import Host

if TYPE_CHECKING:
    from hil.dutlink.storage.usb_sockets import StickMemory

__all__ = ["stick_memory", "this_host"]


def this_host() -> Host:
    """Return this machine's own USB, where what is learned of sticks is kept beside the locks."""
    return Host(stick_memory=stick_memory)


def stick_memory(serial: str) -> StickMemory:
    """Return what keeps the socket of a board's stick on this machine."""
    from hil.lab.stick_sockets import StickSockets  # noqa: PLC0415 - for boards whose stick is used

    return StickSockets(serial)
