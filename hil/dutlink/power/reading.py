"""The meter's reply: power, voltage and current.

The firmware formats each with two decimals and its unit (firmware: control.rs). Each is a moving average over
the last two seconds, so a reading settles that long after a change. The averages are running sums of single
precision, which drift: without current a board may reply `-0.00W`, which is read as 0 W.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from hil.errors import BoardReplyError

__all__ = ["EVERY_S", "OFF_AMPS", "SETTLE_S", "PowerReading"]

EVERY_S = 0.1
"""The default time between two readings of a trace, in seconds; a slow board takes longer."""

OFF_AMPS = 0.05
"""Current below which a DUT counts as off, in amperes: a little more than the sensor's offset."""

SETTLE_S = 2.0
"""Seconds until a reading shows a change in full: 200 samples, one each 10 ms (firmware: filter.rs)."""

_NUMBER = rb"-?[0-9]+\.[0-9]{2}"
_REPLY = re.compile(rb"(%b)W (%b)V (%b)A" % (_NUMBER, _NUMBER, _NUMBER))
_SHOWN = 60


class PowerReading(NamedTuple):
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
