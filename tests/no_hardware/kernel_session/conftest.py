"""Lets tests import what builds and runs the virtual machine of `nox -s kernel`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).parents[2] / "kernel"),
    str(Path(__file__).parents[2] / "kernel" / "guest"),
]
