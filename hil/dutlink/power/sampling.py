"""Read the meter in a thread while a block of code runs.

A reading uses the board's control endpoint for a moment; console and stick are not affected. The pause
between two readings grows with their duration, so that requests take a tenth of the time at most.
"""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from hil.dutlink.power.model import GROUP_DELAY_S, Gap, Sample
from hil.dutlink.power.reading import EVERY_S
from hil.dutlink.power.trace import PowerTrace
from hil.errors import HilError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hil.dutlink.power.reading import PowerReading

__all__ = ["PowerSampler"]

_RAREST_S = 3600
_COST_FACTOR = 9.0
_SILENT_S = 0.5
"""A reading that is this much late makes a gap, in seconds."""

_JOIN_S = 60.0
"""Seconds to wait at the end for the last reading, which may wait for a power sequence; 20 s occur."""


class PowerSampler:
    """A context manager that returns the trace; `Power.trace` makes it.

    Args:
        read: Takes one reading; a `HilError` of it makes a gap.
        every_s: The least time between two readings, in seconds.
        offset_amps: The current that this board reads while none is drawn.
        exact_energy: Continue for one second after the block, so that the energy is that of the block.

    Raises:
        UsageError: `every_s` is less than one of the meter's samples, or more than an hour.
    """

    def __init__(
        self, read: Callable[[], PowerReading], every_s: float, offset_amps: float, exact_energy: bool
    ) -> None:
        if not 0.01 <= every_s <= _RAREST_S:  # noqa: PLR2004 - the meter's own pace; NaN is refused too
            raise UsageError(
                f"power cannot be traced every {every_s} s",
                why=f"the meter takes a sample each 0.01 s, and more than {_RAREST_S} s is no trace",
                remedy=f"every_s={EVERY_S}",
            )
        self._read = read
        self._every_s = every_s
        self._offset_amps = offset_amps
        self.trace = PowerTrace(delay_s=GROUP_DELAY_S if exact_energy else 0.0)
        self._end = threading.Event()
        run = partial(copy_context().run, self._run)  # the context has the calling thread's `uncounted`
        self._thread = threading.Thread(target=run, name="hil-power-trace", daemon=True)
        self._last_s = 0.0
        self._error = ""

    def __enter__(self) -> PowerTrace:
        self.trace.began_s = self._last_s = time.monotonic()
        self._thread.start()
        return self.trace

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.trace.ended_s = time.monotonic()
        if kind is None and self.trace.delay_s:
            self._end.wait(self.trace.delay_s + self._every_s)
        self._end.set()
        self._thread.join(_JOIN_S)
        self._close_gap()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._end.wait(pause_s):
            began_s = time.monotonic()
            try:
                reading = self._read()
            except HilError as error:
                self._error = error.what
            except BaseException:
                self._error = "its reader failed"
                raise
            else:
                self._take(reading, pause_s)
            cost_s = time.monotonic() - began_s
            quick = cost_s < _SILENT_S  # a reading that waited for a sequence does not predict the next one
            pause_s = max(self._every_s - cost_s, cost_s * _COST_FACTOR) if quick else self._every_s

    def _take(self, reading: PowerReading, pause_s: float) -> None:
        now_s = time.monotonic()
        if self._error or now_s - self._last_s > pause_s + _SILENT_S:
            why = self._error or "the board was silent: it worked through a power sequence, or was busy"
            self.trace.gaps.append(Gap(self._last_s, now_s, why))
        amps = reading.amps - self._offset_amps
        watts = reading.watts - self._offset_amps * reading.volts
        self.trace.samples.append(Sample(now_s, time.time(), reading.volts, amps, watts))
        self._last_s, self._error = now_s, ""

    def _close_gap(self) -> None:
        """Add a gap at the end if the last reading failed or did not end."""
        now_s = time.monotonic()
        if self._error or self._thread.is_alive():
            self.trace.gaps.append(Gap(self._last_s, now_s, self._error or "the board was silent"))
