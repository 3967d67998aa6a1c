"""Environment variables of the shell that installs a night, to be copied into the night's environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["kept_environment", "left_out"]

_KEPT = ("HIL_BOARDS", "HIL_LAB", "HIL_LOCK_DIR")
_PATHS = ("HIL_LAB", "HIL_LOCK_DIR")
_NO_FILE = "none"

_OF_A_RUN = ("HIL_LEASE", "HIL_END_WITH", "HIL_COMMIT", "HIL_BOARD", "HIL_PLACE", "HIL_STICK", "HIL_TTY")
"""Variables that a lease or a run sets for its children; they have no meaning in another run."""


def kept_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that choose boards, lab and locks, with absolute paths."""
    given = os.environ if environ is None else environ
    kept = {name: given[name] for name in _KEPT if given.get(name)}
    return {
        name: str(Path(value).absolute()) if name in _PATHS and value != _NO_FILE else value
        for name, value in kept.items()
    }


def left_out(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of other `HIL_` variables that are set here, which a night does not get."""
    given = os.environ if environ is None else environ
    known = {*_KEPT, *_OF_A_RUN}
    return sorted(name for name in given if name.startswith("HIL_") and name not in known and given[name])
