"""The meter's words: power, voltage and current in one reply.

The firmware formats each with two decimals and its unit (firmware: control.rs), and each is a moving average
over the last two seconds: a reading settles that long after a change. The averages are running sums of single
precision, which drift: without current a board may say `-0.00W`, which is 0 W here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from hil.errors import BoardReplyError

__all__ = ["EVERY_S", "OFF_AMPS", "SETTLE_S", "PowerReading"]

EVERY_S = 0.1
"""Seconds between two readings of a trace, where nothing else is said and the board is quick enough."""

OFF_AMPS = 0.05
"""Current below which a DUT counts as off, in amperes: room for the sensor's offset, and little more."""

SETTLE_S = 2.0
"""Seconds until a reading shows a change in full: 200 samples, one each 10 ms (firmware: filter.rs)."""

_NUMBER = rb"-?[0-9]+\.[0-9]{2}"
_REPLY = re.compile(rb"(%b)W (%b)V (%b)A" % (_NUMBER, _NUMBER, _NUMBER))
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class PowerReading:
    """What the DUT drew when the snapshot was taken.

    Attributes:
        volts: Average voltage; before or behind the switch, the firmware does not settle.
        amps: Average current. One step of the sensor is 3.05 mA, and its offset may make this negative.
        watts: Product of the two averages, rounded by itself: not exactly `volts * amps`.
    """

    volts: float
    amps: float
    watts: float

    @classmethod
    def parse(cls, reply: bytes) -> Self:
        """Read the reply to a power request, such as `5.35W 5.10V 1.05A`.

        Raises:
            BoardReplyError: It is anything else.
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
        """Write it as the board does, but for `-0.00`; the inverse of `parse` for values of two decimals."""
        return f"{self.watts:z.2f}W {self.volts:z.2f}V {self.amps:z.2f}A"

    def __str__(self) -> str:
        return self.format()
