"""Python packages for the guest's Python, which need not be this machine's."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel.vm.images import make_image
from tests.kernel.vm.steps import step

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BUILDER", "PACKAGES_IMAGE", "install"]

PACKAGES_IMAGE = "packages.img"
BUILDER = Path(__file__).read_text("utf-8")
"""How it is built is one of the things that an image is named after."""

_LIMIT_S = 300.0
_IMAGE_BYTES = 400 << 20
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def install(requirements: Sequence[str], python_version: str, folder: Path) -> None:
    """Make a disk image of wheels; nothing is built, since the guest's Python cannot run here.

    An image and no shared folder: Python looks for modules in many files, and 9p makes each look slow.

    Raises:
        BuildError: pip could not; what it said is part of the error.
    """
    site = folder / "site"
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    step(
        f"installing {len(requirements)} requirements for Python {python_version}",
        *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", python_version, *platforms),
        *("--no-compile", "--target", site),
        *requirements,
        limit_s=_LIMIT_S,
    )
    make_image(site, folder / PACKAGES_IMAGE, _IMAGE_BYTES)
    shutil.rmtree(site)
