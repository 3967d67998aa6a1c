"""The installed distribution, whose name differs from the package's."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError
from typing import Final

__all__ = ["NAME", "installed"]

NAME: Final = "dutlink-hil"
_FORMER_NAME: Final = "hil"


def installed() -> Distribution:
    """Return the installed distribution; an older checkout may be installed under its former name."""
    try:
        return Distribution.from_name(NAME)
    except PackageNotFoundError:
        return Distribution.from_name(_FORMER_NAME)
