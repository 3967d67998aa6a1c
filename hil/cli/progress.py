"""Progress of a long command: a bar on a terminal, plain lines in a log, none with `--json`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hil.errors import tell_user
from hil.flash.progress import STICK_PHASE, STICK_TEXT, ProgressLines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.flash.progress import Progress

__all__ = ["ProgressBar", "show_progress"]

_NAME_WIDTH = len("compare")
_USUAL_COLUMNS, _USUAL_LINES = 79, 24


class ProgressBar:
    """A `Progress` that shows a bar with rate and remaining time on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None  # a tqdm, which has no types
        self._is_comparing = False

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Begin a phase; see `Progress`."""
        from tqdm import tqdm  # noqa: PLC0415 - only a terminal needs it

        self.close()
        if phase == STICK_PHASE:
            tell_user(STICK_TEXT)
            return
        self._is_comparing = phase == "compare"
        self._bar = tqdm(
            desc=phase.rjust(_NAME_WIDTH),
            total=total_bytes,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            file=sys.stderr,
            **_extent(),
        )

    def advance(self, size_bytes: int) -> None:
        """Count more bytes as done."""
        if self._bar is not None:
            self._bar.update(size_bytes)

    def end(self) -> None:
        """End the phase."""
        self.close()

    def close(self) -> None:
        """Close the bar; later output starts on a new line.

        The bar of a comparison that ended early, at a difference, is removed.
        """
        if self._bar is not None:
            self._bar.leave = self._bar.n == self._bar.total or not self._is_comparing
            self._bar.close()
            self._bar = None


def _extent() -> dict[str, Any]:
    """Return the size of the bar: the terminal's width, or a default for a terminal that reports 0."""
    if os.get_terminal_size(sys.stderr.fileno()).columns:
        return {"dynamic_ncols": True}
    return {"ncols": _USUAL_COLUMNS, "nrows": _USUAL_LINES}


@contextmanager
def show_progress() -> Iterator[Progress | None]:
    """Yield a `Progress` for standard error, or None with `--json`."""
    if click.get_current_context().find_root().params.get("as_json"):
        yield None
    elif sys.stderr.isatty():
        bar = ProgressBar()
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield ProgressLines(tell_user)
