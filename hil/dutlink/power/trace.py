"""Readings of a block of code, and what can be concluded from them.

A reading is the average of the last two seconds. So it is one second late (its group delay), shows a change
in full only after two seconds, and is independent of another one only if they are two seconds apart.
"""

from __future__ import annotations

import csv
from bisect import bisect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from hil.dutlink.power.model import AMPS_PER_STEP, Gap, Sample, TraceData, block_joules
from hil.dutlink.power.reading import OFF_AMPS, SETTLE_S
from hil.dutlink.power.statistics import Comparison, compare, independent
from hil.errors import UsageError
from hil.regular_file import nonblocking_opener

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["PowerTrace"]


@dataclass(slots=True, repr=False)
class PowerTrace(TraceData):
    """Readings of a block of code, and conclusions from them; it grows while its `with` block runs."""

    def __repr__(self) -> str:
        return f"<PowerTrace of {len(self.samples)} readings, {len(self.gaps)} gaps>"

    @property
    def rate_hz(self) -> float:
        """Readings a second outside of gaps; 0 if there are less than two."""
        steps = [after.monotonic_s - before.monotonic_s for before, after in self._steps()]
        return len(steps) / sum(steps) if sum(steps) > 0 else 0.0

    @property
    def measured_s(self) -> float:
        """Seconds of the block that the energy covers: not gaps, nor ends without readings."""
        return sum(end_s - start_s for start_s, end_s, _ in self._pieces())

    @property
    def energy_joules(self) -> float:
        """Energy over `measured_s`.

        With `delay_s` of one second it is the energy of the block, however the power changed in it, if the
        power was steady for two seconds before the block. If there is a gap, the power must be steady for one
        second around the gap and around the block's ends. With `delay_s` of 0 it is the energy of one second
        earlier.

        Raises:
            UsageError: There are less than two readings.
        """
        pieces = list(self._pieces())
        if not pieces:
            raise self._too_short("energy", 2)
        return sum(joules for _, _, joules in pieces)

    @property
    def mean_watts(self) -> float:
        """Mean power over `measured_s`, or the only reading.

        Raises:
            UsageError: There is no reading.
        """
        measured_s = self.measured_s
        return self.energy_joules / measured_s if measured_s > 0 else self._some()[0].watts

    @property
    def mean_watts_on(self) -> float | None:
        """Mean power while the DUT drew current; None if that time was too short.

        A settled reading counts if no reading within two seconds shows a DUT that is off, since the meter
        averages over a change of the supply.
        """
        off_s = [sample.monotonic_s for sample in self.samples if abs(sample.amps) < OFF_AMPS]
        on = []
        for sample in self.settled:
            after = bisect(off_s, sample.monotonic_s)
            near_s = off_s[max(after - 1, 0) : after + 1]
            if all(abs(sample.monotonic_s - one_s) >= SETTLE_S for one_s in near_s):
                on.append(sample.watts)
        return sum(on) / len(on) if on else None

    @property
    def peak(self) -> Sample:
        """The reading with the highest power; a peak shorter than two seconds is flattened by the meter.

        Raises:
            UsageError: There is no reading.
        """
        return max(self._some(), key=lambda sample: sample.watts)

    @property
    def settled(self) -> list[Sample]:
        """Readings that depend on the block alone: from two seconds after its start, or after a gap, on.

        The board does not measure while a power sequence waits, so readings must settle after a gap too.
        """
        unsettled = [self.began_s, *(gap.to_s for gap in self.gaps)]
        return [
            sample
            for sample in self.samples
            if (self.ended_s is None or sample.monotonic_s <= self.ended_s)
            and not any(0 <= sample.monotonic_s - start_s < SETTLE_S for start_s in unsettled)
        ]

    def assert_off(self, tolerance_amps: float = OFF_AMPS) -> None:
        """Fail unless every settled reading shows a DUT that draws no current.

        Raises:
            AssertionError: A reading shows current.
            UsageError: The trace is too short to tell, or `tolerance_amps` is less than a step of the sensor.
        """
        if not tolerance_amps >= AMPS_PER_STEP:  # NaN is refused too
            raise UsageError(
                f"the meter cannot tell {tolerance_amps} A from nothing",
                why=f"its least step is {AMPS_PER_STEP} A",
                remedy=f"leave tolerance_amps at {OFF_AMPS}",
            )
        worst = max(self._settled(), key=lambda sample: abs(sample.amps))
        if abs(worst.amps) > tolerance_amps:
            after_s = worst.monotonic_s - self.began_s
            raise AssertionError(
                f"the DUT is not off: it drew {worst.amps:.2f} A {after_s:.1f} s into the trace, "
                f"more than {tolerance_amps} A"
            )

    def assert_mean_below(self, watts: float) -> None:
        """Fail unless the mean of the settled readings is below `watts`.

        Raises:
            AssertionError: The mean is not below `watts`.
            UsageError: The trace is too short to tell.
        """
        settled = self._settled()
        mean = sum(sample.watts for sample in settled) / len(settled)
        if not mean < watts:  # nothing is below NaN
            raise AssertionError(
                f"the DUT drew {mean:z.3f} W on average over {len(settled)} settled readings, "
                f"not less than {watts:g} W"
            )

    def compare(self, baseline: PowerTrace) -> Comparison:
        """Compare the settled power with that of another trace of the same board.

        Raises:
            UsageError: A trace has less than three independent readings; 8 s without a gap give them.
        """
        mine, theirs = self._independent(), baseline._independent()
        volts = max(sample.volts for sample in self._some())
        return compare(mine, theirs, least_watts=AMPS_PER_STEP * volts)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the trace as SVG or PNG, by the name's ending; see `hil.dutlink.power.plot.plot`."""
        from hil.dutlink.power.plot import plot  # noqa: PLC0415 - few traces are drawn

        plot(self, Path(path))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the readings as CSV with a heading."""
        with open(path, "w", newline="", encoding="utf-8", opener=nonblocking_opener) as file:
            table = csv.DictWriter(file, Sample.__slots__)
            table.writeheader()
            table.writerows(asdict(sample) for sample in self.samples)

    def to_data(self) -> dict[str, Any]:
        """Return the readings and the computed values as data for JSON."""
        enough = self.measured_s > 0
        return {
            **asdict(self),
            "rate_hz": self.rate_hz,
            "measured_s": self.measured_s,
            "energy_joules": self.energy_joules if enough else None,
            "mean_watts": self.mean_watts if self.samples else None,
            "mean_watts_on": self.mean_watts_on,
            "peak_watts": self.peak.watts if self.samples else None,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Return the trace of which `to_data` returned the data; computed values are computed again.

        Raises:
            ValueError, KeyError, TypeError: The data is not that of a trace.
        """
        samples = [Sample(**{name: float(one[name]) for name in Sample.__slots__}) for one in data["samples"]]
        gaps = [Gap(float(one["from_s"]), float(one["to_s"]), str(one["why"])) for one in data["gaps"]]
        ended_s = data["ended_s"]
        return cls(
            samples,
            gaps,
            float(data["began_s"]),
            None if ended_s is None else float(ended_s),
            float(data["delay_s"]),
        )

    def _steps(self) -> Iterator[tuple[Sample, Sample]]:
        """Yield neighbouring readings with no gap between them."""
        after_gap = {gap.to_s for gap in self.gaps}
        for before, after in zip(self.samples, self.samples[1:], strict=False):
            if after.monotonic_s not in after_gap and after.monotonic_s > before.monotonic_s:
                yield before, after

    def _pieces(self) -> Iterator[tuple[float, float, float]]:
        """Yield start, end and energy of the block as a whole, or else of each step between two readings."""
        if self.delay_s and not self.gaps and self.ended_s is not None:
            whole = block_joules(self.samples, self.began_s, self.ended_s)
            if whole is not None:
                yield self.began_s, self.ended_s, whole
                return
        first_s = self.began_s + self.delay_s
        last_s = float("inf") if self.ended_s is None else self.ended_s + self.delay_s
        for before, after in self._steps():
            start_s, end_s = max(before.monotonic_s, first_s), min(after.monotonic_s, last_s)
            if end_s > start_s:
                slope = (after.watts - before.watts) / (after.monotonic_s - before.monotonic_s)
                middle = before.watts + slope * ((start_s + end_s) / 2 - before.monotonic_s)
                yield start_s, end_s, middle * (end_s - start_s)

    def _independent(self) -> list[float]:
        settled = self._settled()
        chosen = independent([sample.monotonic_s for sample in settled], SETTLE_S)
        return [settled[index].watts for index in chosen]

    def _some(self) -> list[Sample]:
        if not self.samples:
            raise self._too_short("power", 1)
        return self.samples

    def _settled(self) -> list[Sample]:
        settled = self.settled
        if not settled:
            told = f"none of {len(self.samples)} readings is settled"
            block = f"after the block's beginning, and it took {self._took_s():.1f} s"
            since = f"after the last gap ({self.gaps[-1].why})" if self.gaps else block
            raise UsageError(
                f"{told}, as this trace needs for its power",
                why=f"they settle {SETTLE_S:g} s {since}",
                remedy=_LONGER,
            )
        return settled

    def _took_s(self) -> float:
        ends = [self.ended_s] if self.ended_s is not None else [one.monotonic_s for one in self.samples[-1:]]
        return max([0.0, *(end_s - self.began_s for end_s in ends)])

    def _too_short(self, what: str, readings: int) -> UsageError:
        gaps = f", with {len(self.gaps)} gaps (the last: {self.gaps[-1].why})" if self.gaps else ""
        return UsageError(
            f"this trace cannot tell the {what}",
            why=f"that takes {readings} readings or more, and it has {len(self.samples)}{gaps}",
            remedy=_LONGER,
        )


_LONGER: Final = (
    f"let the block of power.trace() last longer than {SETTLE_S:g} s, with no power sequence at its end"
)
