"""The power meter: a 12-bit converter and two moving averages.

Source: firmware, main.rs, filter.rs and powermeter.rs.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

    from hil.sim.ticker import Ticker

__all__ = ["AMPS_PER_STEP", "VOLTS_PER_STEP", "Meter", "Reading"]

_SAMPLES: Final = 200
_CONVERTER_STEPS: Final = 4096
_MIDDLE: Final = 2048
_REFERENCE_V: Final = 3.3
AMPS_PER_STEP: Final = _REFERENCE_V / _CONVERTER_STEPS / 0.264
"""3.05 mA: the sensor gives 0.264 V per ampere, downwards from half the reference."""
VOLTS_PER_STEP: Final = _REFERENCE_V / _CONVERTER_STEPS * (2400 + 470) / 470
"""4.92 mV behind a divider of 2400 and 470 ohms."""
_OFFSET_STEPS: Final = 4
_NOISE_STEPS: Final = (-1, 0, 0, 0, 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the averages, in the firmware's single precision.

    Attributes:
        volts: Average of the last 200 samples.
        amps: Likewise; a board's own offset can make it negative.
        watts: Product of the two averages.
    """

    volts: float = 0.0
    amps: float = 0.0
    watts: float = 0.0

    def volts_text(self) -> str:
        """As the board writes a voltage: `5.10V`."""
        return f"{self.volts:.2f}V"

    def amps_text(self) -> str:
        """As the board writes a current: `1.05A`, or `-0.00A`."""
        return f"{self.amps:.2f}A"

    def watts_text(self) -> str:
        """As the board writes a power: `5.35W`."""
        return f"{self.watts:.2f}W"


class Meter:
    """Samples a signal that changes in steps, and only when somebody looks.

    Args:
        ticker: Each tick is a sample.
        offset: Draws the offset of this board's current sensor, a few steps; the same again for a board.
        noise: Draws the noise of single samples.
    """

    def __init__(self, ticker: Ticker, offset: random.Random, noise: random.Random) -> None:
        self._ticker = ticker
        self._noise = noise
        self._offset = offset.randint(-_OFFSET_STEPS, _OFFSET_STEPS)
        self._amps: deque[int] = deque([0] * _SAMPLES, _SAMPLES)
        self._volts: deque[int] = deque([0] * _SAMPLES, _SAMPLES)
        self._sampled = 0
        self._now = (self._offset, 0)

    def signal(self, amps: float, volts: float) -> None:
        """Say what there is to measure from now on."""
        self._sample()
        self._now = (round(amps / AMPS_PER_STEP) + self._offset, round(volts / VOLTS_PER_STEP))

    def read(self) -> Reading:
        """Return the averages as they stand."""
        self._sample()
        volts = _single(sum(self._volts) / _SAMPLES * VOLTS_PER_STEP)
        amps = _single(sum(self._amps) / _SAMPLES * AMPS_PER_STEP)
        return Reading(volts, amps, _single(volts * amps))

    def _sample(self) -> None:
        count = self._ticker.count
        missing = min(count - self._sampled, _SAMPLES)
        self._sampled = count
        if missing <= 0:
            return
        amps, volts = self._now
        self._amps.extend(_clip(amps + noise, 1 - _MIDDLE, _MIDDLE) for noise in self._some_noise(missing))
        self._volts.extend(
            _clip(volts + noise, 0, _CONVERTER_STEPS - 1) for noise in self._some_noise(missing)
        )

    def _some_noise(self, samples: int) -> list[int]:
        return self._noise.choices(_NOISE_STEPS, k=samples)


def _clip(steps: int, low: int, high: int) -> int:
    return min(max(steps, low), high)


def _single(value: float) -> float:
    """Round to the 32-bit float that the firmware computes with."""
    single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return single
