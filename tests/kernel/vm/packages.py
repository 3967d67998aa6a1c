"""Python packages for the guest's Python, which need not be this machine's."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from vm.steps import step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["install"]

_LIMIT_S = 300.0
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def install(requirements: Sequence[str], python_version: str, folder: Path) -> None:
    """Install wheels into `folder`; nothing is built, since the guest's Python cannot run here.

    Raises:
        BuildError: pip could not; what it said is part of the error.
    """
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    step(
        f"installing {len(requirements)} requirements for Python {python_version}",
        *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", python_version, *platforms),
        *("--no-compile", "--target", folder / "site"),
        *requirements,
        limit_s=_LIMIT_S,
    )
    os.sync()
