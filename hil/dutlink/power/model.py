"""Readings over a time, as a power trace holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hil.dutlink.power.reading import SETTLE_S

__all__ = ["AMPS_PER_STEP", "GROUP_DELAY_S", "Gap", "Sample", "TraceData"]

AMPS_PER_STEP: Final = 0.00305
"""The smallest step of the current sensor, in amperes (firmware: powermeter.rs)."""

GROUP_DELAY_S: Final = SETTLE_S / 2
"""The delay of a reading, in seconds: it shows the power of that much earlier."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading.

    Attributes:
        monotonic_s: When it was taken, by `time.monotonic`.
        time_s: When it was taken, in seconds since 1970.
        volts: Average voltage of the last two seconds.
        amps: Average current of the last two seconds, less the board's offset if one was given.
        watts: Product of the two averages, corrected by the same offset.
    """

    monotonic_s: float
    time_s: float
    volts: float
    amps: float
    watts: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without readings, for which no values are made up.

    Attributes:
        from_s: The last reading before it, by `time.monotonic`.
        to_s: The first reading after it, or the end of the trace.
        why: The board's error, or that it was silent.
    """

    from_s: float
    to_s: float
    why: str


@dataclass(slots=True, repr=False)
class TraceData:
    """Readings in the order in which they came.

    Attributes:
        samples: The readings.
        gaps: The times without readings.
        began_s: Start of the traced block, by `time.monotonic`.
        ended_s: Its end; None while it runs.
        delay_s: How long the recording goes on after the block; the energy is counted that much later.
    """

    samples: list[Sample] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    began_s: float = 0.0
    ended_s: float | None = None
    delay_s: float = 0.0
