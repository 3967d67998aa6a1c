"""What tests call to keep a number: `measure(...)`, `measure.time(...)`, `measure.power(...)`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hil.errors import UsageError
from hil.evidence.measurement import check_measurement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import SupportsFloat

    from hil.dutlink.power.trace import PowerTrace
    from hil.evidence.measurement import Measurement

__all__ = ["Measure"]

_MOST: Final = 1000


class Measure:
    """Keeps numbers of the present test for history, report and JUnit; a broken limit fails the test.

    `measure("boot", 12.3, "s", below=20)`; `measure.time("boot", below_s=20)`;
    `measure.power("idle", trace)`. The thread that makes it is the one that runs the tests.
    """

    def __init__(self) -> None:
        self._kept: list[Measurement] | None = None
        self._pid = os.getpid()
        self._runner = threading.current_thread()
        self._older: dict[int, threading.Thread] = {}  # the threads that ran when the attempt began, by ident

    def begin(self, *, late: bool = False) -> list[Measurement]:
        """Start an attempt of a test, and return the list to which its numbers are added.

        Args:
            late: The attempt has begun before, and is the first that may measure: no older thread can.
        """
        self._older = {} if late else threading._active.copy()  # type: ignore[attr-defined]  # noqa: SLF001 - each test pays: enumerate() takes 10 times as long
        self._kept = []
        return self._kept

    def end(self) -> None:
        """Refuse numbers until the next attempt begins."""
        self._kept = None

    def __call__(
        self,
        name: str,
        value: SupportsFloat,
        unit: str,
        *,
        below: SupportsFloat | None = None,
        above: SupportsFloat | None = None,
    ) -> None:
        """Keep a number of the present test. A broken limit fails the test after its body has ended.

        A name that is used again in the same test makes a series: all its values are kept.

        Args:
            name: What is measured, the same in each night: `boot`, `idle power`.
            value: The number.
            unit: Its unit, such as `s`, `W` or `MB/s`; empty for a count.
            below: The number must be less than this.
            above: The number must be more than this.

        Raises:
            UsageError: The value is no finite number, no number can be within the limits, the series has
                another unit, the test has too many numbers, no test is running, the thread was started
                before the present attempt of the test, or the process is a child of the one that runs it.
        """
        self._add(check_measurement(name, value, unit, below, above))

    @contextmanager
    def time(
        self, name: str, *, below_s: float | None = None, above_s: float | None = None
    ) -> Iterator[None]:
        """Keep the duration of a `with` block in seconds; of a block that raises an error, nothing is kept.

        Raises:
            UsageError: As for a number, or the attempt has ended in which the block was entered. All but
                the last, the number of numbers and the unit are checked before the block.
        """
        check_measurement(name, 0.0, "s", below_s, above_s)
        attempt = self._attempt(f"the duration {name!r}")
        began_s = time.monotonic()
        yield
        duration_s = time.monotonic() - began_s
        self._add(check_measurement(name, duration_s, "s", below_s, above_s), attempt=attempt)

    def power(
        self,
        name: str,
        trace: PowerTrace,
        *,
        mean_below_watts: float | None = None,
        peak_below_watts: float | None = None,
        energy_below_joules: float | None = None,
    ) -> None:
        """Keep a power trace's mean, peak and energy, as `NAME mean`, `NAME peak`, `NAME energy`.

        Raises:
            UsageError: As for a number, or the trace has less than two readings: nothing is kept.
        """
        mean, peak, energy = trace.mean_watts, trace.peak.watts, trace.energy_joules
        self._add(
            check_measurement(f"{name} mean", mean, "W", mean_below_watts),
            check_measurement(f"{name} peak", peak, "W", peak_below_watts),
            check_measurement(f"{name} energy", energy, "J", energy_below_joules),
        )

    def _attempt(self, what: str) -> list[Measurement]:
        """Return the list of the present attempt.

        Raises:
            UsageError: No test is running, or `what` does not belong to its present attempt.
        """
        if os.getpid() != self._pid:
            raise UsageError(
                f"{what} cannot be kept",
                why="this process is a child of the one that runs the test, and its numbers would be lost",
                remedy="return the number to the test (a multiprocessing.Queue, a pipe), and measure there",
            )
        kept = self._kept
        if kept is None:
            raise UsageError(
                f"{what} cannot be kept",
                why="no test is running",
                remedy="measure in a test, or in the set-up or tear-down of its fixtures",
            )
        thread = threading.current_thread()
        if thread in self._older.values() and thread not in {self._runner, threading.main_thread()}:
            raise UsageError(
                f"{what} cannot be kept",
                why=f"{thread.name} was started before the present attempt, maybe by an earlier test",
                remedy="join the thread before its test ends, or return the number and measure in the test",
            )
        return kept

    def _add(self, *made: Measurement, attempt: list[Measurement] | None = None) -> None:
        """Keep all of some numbers, or none of them.

        Args:
            made: The numbers.
            attempt: The list of the attempt to which they belong; None: the present one.
        """
        kept = self._attempt(str(made[0]))
        if attempt is not None and attempt is not kept:
            raise _late(made[0])
        if len(kept) + len(made) > _MOST:
            raise UsageError(
                f"{made[-1]} cannot be kept",
                why=f"the test has {len(kept)} numbers already, and may have {_MOST}",
                remedy="keep a median or a maximum of them",
            )
        for new in made:
            unit = next((one.unit for one in kept if one.name == new.name), new.unit)
            if unit != new.unit:
                raise UsageError(
                    f"{new.name!r} is in {new.unit or 'no unit'!r} here",
                    why=f"this test has measured it in {unit or 'no unit'!r} before",
                    remedy="give one of them another name, or convert it",
                )
        kept += [replace(one, where=_caller()) if one.is_broken else one for one in made]
        if self._kept is not kept:  # a thread measured while its test ended, and limits may be judged already
            raise _late(made[0])


def _late(number: Measurement) -> UsageError:
    return UsageError(
        f"{number} comes too late",
        why="the attempt of the test to which it belongs has ended",
        remedy="leave the block of measure.time, and join threads, before the test ends",
    )


def _caller() -> str:
    """Return file and line of the code that measures, the file as seen from the present folder."""
    frame = sys._getframe(1)  # noqa: SLF001 - inspect is slow to import
    while frame.f_code.co_filename in {__file__, contextlib.__file__} and frame.f_back is not None:
        frame = frame.f_back
    file = frame.f_code.co_filename
    here = f"{os.getcwd()}{os.sep}"  # noqa: PTH109 - a prefix of a text
    return f"{file.removeprefix(here)}:{frame.f_lineno}"
