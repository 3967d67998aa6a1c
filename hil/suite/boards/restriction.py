"""Keep tests away from boards that this process has not acquired."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards.lent_token import remove_token
from hil.dutlink.held_boards import held_boards

if TYPE_CHECKING:
    from hil.suite.boards.run_boards import RunBoards
    from hil.suite.outcome.usb_block import UsbBlock

__all__ = ["BoardRestriction"]

SYSTEM_DEV = Path("/dev")
"""The folder with the nodes of real boards: in every run these are opened under a lease only."""


class BoardRestriction:
    """Folders of device nodes in which tests open only acquired boards, from `begin` to `lift`.

    Args:
        block: Keeps no_hardware tests away from the simulated boards of the run, too.
    """

    def __init__(self, block: UsbBlock) -> None:
        self._block = block
        self._folders: set[Path] = set()
        self._threads_before: frozenset[threading.Thread] = frozenset()

    def begin(self) -> None:
        """Restrict this host's boards, before test files are imported: the threads of now open no board."""
        self._threads_before = frozenset(threading.enumerate())
        self.apply(None)

    def apply(self, of_run: RunBoards | None) -> None:
        """Restrict this host's boards, and the simulated boards of a run as far as they run by now."""
        self.restrict(SYSTEM_DEV)
        if of_run is not None:
            with suppress(Exception):  # the tests that use these boards raise it
                self._block.ports |= of_run.usbip_ports()
                for folder in of_run.device_folders():
                    self.restrict(folder)

    def restrict(self, folder: Path) -> None:
        """Restrict the boards with device nodes in a folder."""
        if folder not in self._folders:
            self._folders.add(folder)
            held_boards.restrict(folder)

    def lift(self) -> None:
        """Lift all restrictions, unless a thread of a test still runs: it must open no board."""
        while self._folders and self._threads_before.issuperset(threading.enumerate()):
            held_boards.lift(self._folders.pop())

    def remove_token(self) -> None:
        """Remove the token of the run's leases from the environment; see `lent_token`."""
        remove_token(self._threads_before)
