"""A hardware-in-the-loop test suite for DUTLink boards: its public names.

For tests: the types of the fixtures (`from hil import Console, Power`) and the errors that a test may catch.
For programs: `this_host()`, `list_boards(host)` and `open_board(host)`, which leases the board. pytest loads
the suite by `pytest_plugins = ["hil.plugin"]`. Modules of this package are private unless a page of the
documentation names them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from hil.old_paths import OldPaths

if TYPE_CHECKING:
    from hil.boards.open_board import open_board
    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.discovery import list_boards
    from hil.dutlink.host import Host
    from hil.dutlink.pins import Pins
    from hil.dutlink.power.power import Power
    from hil.dutlink.settings import BoardSettings
    from hil.dutlink.storage.storage import Storage
    from hil.errors import (
        BoardFaultError,
        ConsoleError,
        ExpectError,
        HilError,
        StorageError,
        UnavailableError,
    )
    from hil.evidence.measure import Measure
    from hil.lab.this_host import this_host

__all__ = [
    "Board",
    "BoardFaultError",
    "BoardSettings",
    "Console",
    "ConsoleError",
    "ExpectError",
    "HilError",
    "Host",
    "Measure",
    "Pins",
    "Power",
    "Storage",
    "StorageError",
    "UnavailableError",
    "list_boards",
    "open_board",
    "this_host",
]

_MODULES: Final = {
    "Board": "hil.dutlink.board",
    "BoardFaultError": "hil.errors",
    "BoardSettings": "hil.dutlink.settings",
    "Console": "hil.dutlink.console.console",
    "ConsoleError": "hil.errors",
    "ExpectError": "hil.errors",
    "HilError": "hil.errors",
    "Host": "hil.dutlink.host",
    "Measure": "hil.evidence.measure",
    "Pins": "hil.dutlink.pins",
    "Power": "hil.dutlink.power.power",
    "Storage": "hil.dutlink.storage.storage",
    "StorageError": "hil.errors",
    "UnavailableError": "hil.errors",
    "list_boards": "hil.dutlink.discovery",
    "open_board": "hil.boards.open_board",
    "this_host": "hil.lab.this_host",
}

sys.meta_path.append(OldPaths())


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: most of this package does without the driver.

    Raises:
        AttributeError: There is no such name.
    """
    if name not in _MODULES:
        raise AttributeError(f"module 'hil' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
