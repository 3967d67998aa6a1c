"""The settings of `hil` in the shell that installs a night, which the night's own environment lacks."""

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
"""What a lease or a run tells its children; it means nothing in a later one."""


def kept_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the settings that choose boards, lab and locks, paths absolute."""
    given = os.environ if environ is None else environ
    kept = {name: given[name] for name in _KEPT if given.get(name)}
    return {
        name: str(Path(value).absolute()) if name in _PATHS and value != _NO_FILE else value
        for name, value in kept.items()
    }


def left_out(environ: Mapping[str, str] | None = None) -> list[str]:
    """Name the other settings that are set in this shell; a night does not have them."""
    given = os.environ if environ is None else environ
    known = {*_KEPT, *_OF_A_RUN}
    return sorted(name for name in given if name.startswith("HIL_") and name not in known and given[name])
