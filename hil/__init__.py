"""A hardware-in-the-loop test suite for DUTLink boards.

The types of the fixtures are here, for annotations: `from hil import Console, Power`.

Layers, each importing only what stands before it: `hil.errors`, `hil.flash` (images and disks), `hil.dutlink`
(the board as its firmware defines it), `hil.lab` (places and leases), `hil.evidence` (what a run leaves
behind), `hil.suite` (what pytest sees), `hil.jumpstarter` (many hosts), `hil.history` (earlier runs),
`hil.report` (pages), `hil.nightly` (every night), `hil.cli`, `hil.plugin`. `hil.sim`, the simulated board,
stands beside them and knows only the errors.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.pins import Pins
    from hil.dutlink.power.power import Power
    from hil.dutlink.storage.storage import Storage

__all__ = ["Board", "Console", "Pins", "Power", "Storage"]

_MODULES: Final = {
    "Board": "hil.dutlink.board",
    "Console": "hil.dutlink.console.console",
    "Pins": "hil.dutlink.pins",
    "Power": "hil.dutlink.power.power",
    "Storage": "hil.dutlink.storage.storage",
}


def __getattr__(name: str) -> object:
    """Import a type when it is first asked for: most of this package does without the driver."""
    if name not in _MODULES:
        raise AttributeError(f"module 'hil' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
