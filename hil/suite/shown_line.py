"""Show the user a line although pytest captures a test's output."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from hil.errors import with_names

if TYPE_CHECKING:
    import pytest

__all__ = ["show_line"]


def show_line(config: pytest.Config, line: str) -> None:
    """Write a line to stderr, after the line that pytest has begun.

    Args:
        config: The run, whose capture is suspended.
        line: The line.
    """
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        sys.stderr.write(f"{_end_of_begun_line(config)}{with_names(line)}\n")
        sys.stderr.flush()


def _end_of_begun_line(config: pytest.Config) -> str:
    """End the line that pytest's terminal has begun; return what ends it if it belongs to another process."""
    terminal: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        return "\n"
    terminal.ensure_newline()
    if terminal._tw.width_of_current_line:  # noqa: SLF001 - pytest has no other way to ask
        terminal.line("")
    terminal.flush()
    return ""
