"""Keep tests away from boards that this process has not acquired."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.held_boards import held_boards

if TYPE_CHECKING:
    from hil.suite.boards.session import BoardSession
    from hil.suite.outcome.usb_block import UsbBlock

__all__ = ["BoardRestriction"]

SYSTEM_DEV = Path("/dev")
"""The folder with the nodes of real boards: in every run these are opened under a lease only."""


class BoardRestriction:
    """Folders of device nodes in which tests open only acquired boards, until `lift`.

    Args:
        block: Keeps no_hardware tests away from the simulated boards of the run, too.
    """

    def __init__(self, block: UsbBlock) -> None:
        self._block = block
        self._folders: set[Path] = set()

    def apply(self, session: BoardSession | None) -> None:
        """Restrict this host's boards, and the simulated boards of a session as far as they run by now."""
        self.restrict(SYSTEM_DEV)
        if session is not None:
            with suppress(Exception):  # the tests that use these boards raise it
                self._block.ports |= session.usbip_ports()
                for folder in session.device_folders():
                    self.restrict(folder)

    def restrict(self, folder: Path) -> None:
        """Restrict the boards with device nodes in a folder."""
        if folder not in self._folders:
            self._folders.add(folder)
            held_boards.restrict(folder)

    def lift(self) -> None:
        """Lift all restrictions."""
        while self._folders:
            held_boards.lift(self._folders.pop())
