"""A board's own node in the simulated host's `dev/bus/usb`, while that host has the board.

The node is a plain, empty file. It is there to be opened and locked; requests go over USB/IP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UsbDeviceNode"]

_NODE_MODE = 0o664
"""As udev's own rules have it: all users may read it."""


class UsbDeviceNode:
    """One board's node; a board that is plugged in again gets another one.

    Args:
        dev: The `/dev`-like folder.
    """

    def __init__(self, dev: Path) -> None:
        self._folder = dev / "bus" / "usb"
        self._node: Path | None = None

    def show(self, bus: int, device: int) -> None:
        """Let the node of that bus and device number appear; harmless when it is there."""
        node = self._folder / f"{bus:03}" / f"{device:03}"
        if node != self._node:
            self.hide()
            node.parent.mkdir(parents=True, exist_ok=True)
            node.touch(mode=_NODE_MODE)
            self._node = node

    def hide(self) -> None:
        """Let it vanish; harmless when it is not there."""
        if self._node is not None:
            self._node.unlink(missing_ok=True)
            self._node = None
