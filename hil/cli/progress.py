"""How far a long command is: a bar on a terminal, plain lines in a log, nothing beside JSON."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hil.flash.progress import ProgressLines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.flash.progress import Progress

__all__ = ["ProgressBar", "show_progress"]

_NAME_WIDTH = len("compare")
_USUAL_COLUMNS, _USUAL_LINES = 79, 24


class ProgressBar:
    """A bar with rate and time left, on standard error; a `Progress`."""

    def __init__(self) -> None:
        self._bar: Any = None  # a tqdm, which has no types
        self._is_comparing = False

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """A part of the work begins; see `Progress`."""
        from tqdm import tqdm  # noqa: PLC0415 - only a terminal needs it

        self.close()
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
        """So many bytes more are done."""
        if self._bar is not None:
            self._bar.update(size_bytes)

    def end(self) -> None:
        """The part is done."""
        self.close()

    def close(self) -> None:
        """Leave the bar as it is; what follows starts on a line of its own.

        A comparison ends with the first difference, which is no news: nothing is left of its bar then.
        """
        if self._bar is not None:
            self._bar.leave = self._bar.n == self._bar.total or not self._is_comparing
            self._bar.close()
            self._bar = None


def _extent() -> dict[str, Any]:
    """Let the bar be as wide as the terminal; one that does not know, as behind a serial line, says 0."""
    if os.get_terminal_size(sys.stderr.fileno()).columns:
        return {"dynamic_ncols": True}
    return {"ncols": _USUAL_COLUMNS, "nrows": _USUAL_LINES}


@contextmanager
def show_progress() -> Iterator[Progress | None]:
    """Yield what tells the user how far it is, as their standard error can show it."""
    if click.get_current_context().find_root().params.get("as_json"):
        yield None
    elif sys.stderr.isatty():
        bar = ProgressBar()
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield ProgressLines(lambda line: click.echo(f"hil: {line}", err=True))
