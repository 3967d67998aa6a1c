"""What the measurements, the kill matrix and other programs outside of pytest share.

Rows with goals and the exit status that they give, timed processes, and stations that share cases.
"""

from __future__ import annotations

import resource
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

__all__ = ["Cost", "Row", "play_all", "say", "show", "timed"]

Case = TypeVar("Case")
Station = TypeVar("Station")
Result = TypeVar("Result")
Row: TypeAlias = tuple[str, bool | None]
"""What was measured, and whether it meets its goal; None if it has none."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that a process took: by the clock, and of the processor (a busy neighbour costs none)."""

    wall_s: float
    cpu_s: float


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - the output of a program


def show(rows: Iterable[Row]) -> int:
    """Print each row as soon as it is measured; return 1 if one misses its goal."""
    missed = False
    for text, holds in rows:
        say(text if holds is None else f"{text} {'holds' if holds else 'MISSED'}")
        missed |= holds is False
    return int(missed)


def timed(command: Sequence[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> Cost:
    """Run a program and return what it took.

    Raises:
        subprocess.CalledProcessError: It failed, so its time means nothing.
    """
    began, spent = time.perf_counter(), _children_cpu_s()
    subprocess.run(command, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL)
    return Cost(time.perf_counter() - began, _children_cpu_s() - spent)


def play_all(
    play: Callable[[Station, Case], Result], stations: Sequence[Station], cases: Iterable[Case]
) -> list[Result]:
    """Play each case at the next free station; return the results in the order of the cases."""
    free: SimpleQueue[Any] = SimpleQueue()
    for station in stations:
        free.put(station)

    def play_one(case: Case) -> Result:
        station = free.get()
        try:
            return play(station, case)
        finally:
            free.put(station)

    with ThreadPoolExecutor(len(stations)) as pool:
        return list(pool.map(play_one, cases))


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
