"""The power meter: a 12-bit converter and two moving averages, in the firmware's single precision.

An average is a running sum: each sample is added, and subtracted 200 samples later. Both operations round, so
the sum drifts with every sample: without current the meter may show `-0.00A`.

Source: firmware, main.rs (adc_dma), filter.rs, powermeter.rs and control.rs.
"""

from __future__ import annotations

import functools
import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

    from hil.sim.board.cpu import Ticker

__all__ = ["AMPS_PER_STEP", "VOLTS_PER_STEP", "Meter", "MovingAverage", "Reading", "to_float32"]

_SAMPLES: Final = 200
_CONVERTER_STEPS: Final = 4096
_MIDDLE: Final = 2048
_REFERENCE_V: Final = 3.3
_SENSED_V: Final = 0.264
_LOWER_OHMS: Final = 470
_DIVIDER_OHMS: Final = 2400 + _LOWER_OHMS
AMPS_PER_STEP: Final = _REFERENCE_V / _CONVERTER_STEPS / _SENSED_V
"""3.05 mA: the sensor gives 0.264 V per ampere, downward from half the reference."""
VOLTS_PER_STEP: Final = _REFERENCE_V / _CONVERTER_STEPS * _DIVIDER_OHMS / _LOWER_OHMS
"""4.92 mV, after a divider of 2400 and 470 ohms."""
_OFFSET_STEPS: Final = 4
_NOISE_STEPS: Final = (-1, 0, 0, 0, 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """The averages at one moment, in the firmware's single precision.

    Attributes:
        volts: Average of the last 200 samples of the voltage.
        amps: Average of the last 200 samples of the current; the sensor's offset can make it negative.
        watts: Product of the two averages.
    """

    volts: float = 0.0
    amps: float = 0.0
    watts: float = 0.0

    def volts_text(self) -> str:
        """Return the voltage as the board writes it: `5.10V`."""
        return f"{self.volts:.2f}V"

    def amps_text(self) -> str:
        """Return the current as the board writes it: `1.05A`, or `-0.00A`."""
        return f"{self.amps:.2f}A"

    def watts_text(self) -> str:
        """Return the power as the board writes it: `5.35W`."""
        return f"{self.watts:.2f}W"


class MovingAverage:
    """The mean of the last 200 values, rounded as in the firmware (filter.rs)."""

    def __init__(self) -> None:
        self._values = deque([0.0] * _SAMPLES, _SAMPLES)
        self._sum = 0.0

    def feed(self, value: float) -> None:
        """Add a value of single precision."""
        self._sum = to_float32(self._sum - self._values[0])
        self._values.append(value)
        self._sum = to_float32(self._sum + value)

    def get(self) -> float:
        """Return the mean."""
        return to_float32(self._sum / _SAMPLES)


class Meter:
    """Measures an input that changes in steps. It computes the samples only when they are read.

    Args:
        ticker: Its ticks are the sample times.
        offset: Source of the current sensor's offset, a few steps; seeded, so that a board keeps its offset.
        noise: Source of the noise of each sample.
    """

    def __init__(self, ticker: Ticker, offset: random.Random, noise: random.Random) -> None:
        self._ticker = ticker
        self._noise = noise
        self._offset = offset.randint(-_OFFSET_STEPS, _OFFSET_STEPS)
        self._amps = MovingAverage()
        self._volts = MovingAverage()
        self._sampled = 0
        self._now = (self._offset, 0)

    def set_input(self, amps: float, volts: float) -> None:
        """Set the current and voltage to measure from now on."""
        self._sample()
        self._now = (round(amps / AMPS_PER_STEP) + self._offset, round(volts / VOLTS_PER_STEP))

    def read(self) -> Reading:
        """Return the current averages."""
        self._sample()
        volts, amps = self._volts.get(), self._amps.get()
        return Reading(volts, amps, to_float32(volts * amps))

    def _sample(self) -> None:
        count = self._ticker.count
        missing = min(count - self._sampled, _SAMPLES)
        self._sampled = count
        if missing <= 0:
            return
        amps, volts = self._now
        for noise in self._some_noise(missing):
            self._amps.feed(_amps_of(_clip(amps + noise, 1 - _MIDDLE, _MIDDLE)))
        for noise in self._some_noise(missing):
            self._volts.feed(_volts_of(_clip(volts + noise, 0, _CONVERTER_STEPS - 1)))

    def _some_noise(self, samples: int) -> list[int]:
        return self._noise.choices(_NOISE_STEPS, k=samples)


def _clip(steps: int, low: int, high: int) -> int:
    return min(max(steps, low), high)


@functools.cache
def _amps_of(steps: int) -> float:
    """Return the current of a sample `steps` below the middle (main.rs: current_V, current_A)."""
    sensed = to_float32(to_float32(-steps * _REFERENCE_SINGLE) / _CONVERTER_STEPS)
    return to_float32(-sensed / _VOLTS_PER_AMPERE)


@functools.cache
def _volts_of(steps: int) -> float:
    """Return the voltage of a sample (main.rs: vout_sense_V, vin)."""
    sensed = to_float32(to_float32(steps * _REFERENCE_SINGLE) / _CONVERTER_STEPS)
    return to_float32(to_float32(sensed * _DIVIDER_OHMS) / _LOWER_OHMS)


def to_float32(value: float) -> float:
    """Round to a 32-bit float, as the firmware uses.

    A sum, product or quotient of two such floats, computed as a Python float and rounded once, equals the
    firmware's result.
    """
    rounded: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    return rounded


_SINGLE: Final = struct.Struct("<f")
_REFERENCE_SINGLE: Final = to_float32(_REFERENCE_V)
_VOLTS_PER_AMPERE: Final = to_float32(_SENSED_V)
