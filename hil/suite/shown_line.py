"""Show the user a line although pytest captures a test's output."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["show_line"]


def show_line(config: pytest.Config, line: str) -> None:
    """Write a line to stderr.

    Args:
        config: The run, whose capture is suspended.
        line: The line.
    """
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        sys.stderr.write(f"\n{line}\n")
        sys.stderr.flush()
