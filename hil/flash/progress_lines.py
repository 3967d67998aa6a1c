"""Progress as plain lines, for logs: one for every ten per cent, but never more than one a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProgressLines", "size_text"]

_STEP_PERCENT = 10
_ALL_PERCENT = 100
_PAUSE_S = 1.0
_UNKNOWN_PAUSE_S = 10.0
"""Between two lines while nobody knows how much is to come."""

_UNIT = 1024
_MINUTE_S = 60


class ProgressLines:
    """Writes what has been done, how fast, and how long it will take; a `Progress`.

    Args:
        write: Called with each line, without its end.
        now: The time in seconds.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._phase = ""
        self._total: int | None = None
        self._done = 0
        self._began_s = self._told_s = 0.0
        self._told_percent = 0

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """A part of the work begins; `total_bytes` is None where nobody knows yet how much it is."""
        self._phase, self._total, self._done = phase, total_bytes, 0
        self._began_s = self._told_s = self._now()
        self._told_percent = 0

    def advance(self, size_bytes: int) -> None:
        """So many bytes more are done."""
        self._done += size_bytes
        if self._is_due():
            self._told_s = self._now()
            self._write(f"{self._phase}: {self._so_far()}, {self._rate()}{self._left()}")

    def end(self) -> None:
        """The part is over.

        Nothing is said of one in which nothing was done, nor of a comparison that ended with a difference.
        """
        if not self._done or (self._phase == "compare" and self._total not in {None, self._done}):
            return
        took_s = self._now() - self._began_s
        self._write(f"{self._phase}: {size_text(self._done)} in {took_s:.1f} s, {self._rate()}")

    def _is_due(self) -> bool:
        silent_s = self._now() - self._told_s
        if self._total is None:
            return silent_s >= _UNKNOWN_PAUSE_S
        percent = 100 * self._done // max(1, self._total)
        if silent_s < _PAUSE_S or not self._told_percent + _STEP_PERCENT <= percent < _ALL_PERCENT:
            return False
        self._told_percent = percent // _STEP_PERCENT * _STEP_PERCENT
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
    """Return a size as people read it: `512 bytes`, `1.5 GiB`."""
    if size_bytes < _UNIT:
        return f"{size_bytes} bytes"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        size /= _UNIT
        if size < _UNIT or unit == "GiB":
            break
    return f"{size:.1f} {unit}"
