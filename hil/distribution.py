"""The package as it is installed: its name on an index is not that of the import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["NAME", "PACKAGE", "installed"]

NAME: Final = "dutlink-hil"
PACKAGE: Final = Path(__file__).parent
"""The folder of the package `hil`."""

_FORMER_NAME: Final = "hil"


def installed() -> Distribution:
    """Return the installed distribution; an older checkout may be installed under its former name."""
    from importlib.metadata import Distribution, PackageNotFoundError  # noqa: PLC0415 - takes 15 ms

    try:
        return Distribution.from_name(NAME)
    except PackageNotFoundError:
        return Distribution.from_name(_FORMER_NAME)
