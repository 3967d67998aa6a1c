"""The meter's reply: power, voltage and current; and readings over a time, as a power trace holds them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self

from hil.errors import BoardReplyError

__all__ = [
    "AMPS_PER_STEP",
    "EVERY_S",
    "GROUP_DELAY_S",
    "OFF_AMPS",
    "SETTLE_S",
    "Gap",
    "PowerReading",
    "Sample",
    "TraceData",
]

EVERY_S = 0.1
"""The default time between two readings of a trace, in seconds; a slow board takes longer."""

OFF_AMPS = 0.05
"""Current below which a DUT counts as off, in amperes: a little more than the sensor's offset."""

SETTLE_S = 2.0
"""Seconds until a reading shows a change in full: 200 samples, one each 10 ms (firmware: filter.rs)."""

_NUMBER = rb"-?[0-9]+\.[0-9]{2}"
_REPLY = re.compile(rb"(%b)W (%b)V (%b)A" % (_NUMBER, _NUMBER, _NUMBER))
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class PowerReading:
    """The power that the DUT drew when the snapshot was taken.

    Attributes:
        volts: Average voltage; the firmware does not tell whether it is taken before or after the switch.
        amps: Average current. One step of the sensor is 3.05 mA, and its offset may make this negative.
        watts: Product of the two averages, rounded separately, so it is not exactly `volts * amps`.
    """

    volts: float
    amps: float
    watts: float

    @classmethod
    def parse(cls, reply: bytes) -> Self:
        """Parse the reply to a power request, such as `5.35W 5.10V 1.05A`.

        Raises:
            BoardReplyError: The reply has another form.
        """
        match = _REPLY.fullmatch(reply.rstrip(b"\0"))
        if match is None:
            raise BoardReplyError(
                f"the board answered {reply[:_SHOWN]!r} when asked for its power reading",
                why="firmware says it as 5.35W 5.10V 1.05A",
                remedy="ask again; if it stays, replug the board or renew its firmware",
            )
        watts, volts, amps = (float(number) + 0.0 for number in match.groups())  # -0.0 + 0.0 is 0.0
        return cls(volts=volts, amps=amps, watts=watts)

    def format(self) -> str:
        """Format it as the board does, but without `-0.00`; the inverse of `parse`."""
        return f"{self.watts:z.2f}W {self.volts:z.2f}V {self.amps:z.2f}A"

    def __str__(self) -> str:
        return self.format()


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
