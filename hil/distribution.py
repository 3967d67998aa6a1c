"""The package as it is installed: its name on an index is not that of the import."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError
from typing import Final

__all__ = ["NAME", "installed"]

NAME: Final = "dutlink-hil"
_NAME_OF_BEFORE: Final = "hil"


def installed() -> Distribution:
    """Return the installed distribution; a checkout may have been installed under the name of before."""
    try:
        return Distribution.from_name(NAME)
    except PackageNotFoundError:
        return Distribution.from_name(_NAME_OF_BEFORE)
