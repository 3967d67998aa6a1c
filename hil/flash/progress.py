"""Progress of reading or writing a disk: the interface, and an implementation that writes lines for logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STICK_PHASE", "STICK_TEXT", "NoProgress", "Progress", "ProgressLines", "size_text"]

STICK_PHASE: Final = "stick"
STICK_TEXT: Final = "waiting for the stick to attach to this host (4 s; 16 s for a stick that is new to it)"

_STEP_PERCENT = 10
_ALL_PERCENT = 100
_PAUSE_S = 1.0
_UNKNOWN_PAUSE_S = 10.0
"""Seconds between two lines while the total is not known."""

_SHORTEST_S = 0.1
_UNIT = 1024
_MINUTE_S = 60


class Progress(Protocol):
    """Receives the progress of work, always in the thread that asked for the work.

    An error that a method raises ends the work as any other error would.
    """

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Start a phase.

        Args:
            phase: `stick`, while the stick is waited for; `compare`, `write`, `verify` or `read`.
            total_bytes: Size of the work; None if it is not known, as for some archives and for `stick`.
        """
        ...

    def advance(self, size_bytes: int) -> None:
        """Add bytes that are done."""
        ...

    def end(self) -> None:
        """End the phase, also after an error."""
        ...


class NoProgress:
    """A `Progress` that does nothing."""

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Do nothing."""

    def advance(self, size_bytes: int) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class ProgressLines:
    """A `Progress` that writes lines: how much is done, how fast, how long the rest will take.

    It writes one line for every ten per cent, but never more than one a second.

    Args:
        write: Called with each line, without a line end.
        now: Returns the time in seconds.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._phase = ""
        self._total: int | None = None
        self._done = 0
        self._began_s = self._written_s = 0.0
        self._written_percent = 0

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Start a phase; see `Progress`."""
        self._phase, self._total, self._done = phase, total_bytes, 0
        self._began_s = self._written_s = self._now()
        self._written_percent = 0
        if phase == STICK_PHASE:
            self._write(STICK_TEXT)

    def advance(self, size_bytes: int) -> None:
        """Add bytes that are done, and write a line if one is due."""
        self._done += size_bytes
        if self._is_due():
            self._written_s = self._now()
            self._write(f"{self._phase}: {self._so_far()}, {self._rate()}{self._left()}")

    def end(self) -> None:
        """End the phase and write a line about it.

        It writes nothing if nothing was done, or if a comparison ended at a difference.
        """
        if not self._done or (self._phase == "compare" and self._total not in {None, self._done}):
            return
        took_s = self._now() - self._began_s
        rate = f", {self._rate()}" if took_s >= _SHORTEST_S else ""  # of less time it means nothing
        self._write(f"{self._phase}: {size_text(self._done)} in {took_s:.1f} s{rate}")

    def _is_due(self) -> bool:
        silent_s = self._now() - self._written_s
        if self._total is None:
            return silent_s >= _UNKNOWN_PAUSE_S
        percent = 100 * self._done // max(1, self._total)
        if silent_s < _PAUSE_S or not self._written_percent + _STEP_PERCENT <= percent < _ALL_PERCENT:
            return False
        self._written_percent = percent // _STEP_PERCENT * _STEP_PERCENT
        return True

    def _so_far(self) -> str:
        if self._total is None:
            return size_text(self._done)
        return f"{100 * self._done // self._total} % of {size_text(self._total)}"

    def _rate(self) -> str:
        return f"{size_text(int(self._bytes_per_s()))}/s"

    def _left(self) -> str:
        rate = self._bytes_per_s()
        if self._total is None or not rate:
            return ""
        seconds = round((self._total - self._done) / rate)
        minutes, seconds = divmod(seconds, _MINUTE_S)
        return f", {minutes} min {seconds} s left" if minutes else f", {seconds} s left"

    def _bytes_per_s(self) -> float:
        return self._done / max(self._now() - self._began_s, 1e-3)


def size_text(size_bytes: int) -> str:
    """Return a size for people: `512 bytes`, `1.5 GiB`."""
    if size_bytes < _UNIT:
        return f"{size_bytes} bytes"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        size /= _UNIT
        if size < _UNIT or unit == "GiB":
            break
    return f"{size:.1f} {unit}"
