"""A measured pair, its goal, and the rows that show both."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.support.harness import Row

__all__ = ["Ratio", "interleaved", "rows"]

Cost = TypeVar("Cost")


@dataclass(frozen=True, slots=True)
class Ratio:
    """What one thing costs against another.

    Attributes:
        name: What was measured.
        bare_s: Seconds without our code, one entry for each repeat.
        ours_s: Seconds with it, measured right after the entry of the same index.
        goal: The ratio that is good enough.
    """

    name: str
    bare_s: tuple[float, ...]
    ours_s: tuple[float, ...]
    goal: float

    @classmethod
    def of(cls, name: str, pairs: Iterable[tuple[float, float]], goal: float) -> Self:
        """Make one from pairs of seconds, bare and ours."""
        bare_s, ours_s = zip(*pairs, strict=True)
        return cls(name, bare_s, ours_s, goal)

    @property
    def value(self) -> float:
        """The median of the pairs' ratios: noise that lasts longer than a pair hits both of its halves."""
        pairs = zip(self.bare_s, self.ours_s, strict=True)
        return statistics.median(ours / bare for bare, ours in pairs)

    @property
    def holds(self) -> bool:
        """Whether the goal is met."""
        return self.value <= self.goal


def interleaved(bare: Callable[[], Cost], ours: Callable[[], Cost], repeats: int) -> list[tuple[Cost, Cost]]:
    """Measure both in turn, `repeats` times; a slow first pair does not move a median."""
    return [(bare(), ours()) for _ in range(repeats)]


def rows(ratios: Iterable[Ratio]) -> Iterator[Row]:
    """Yield a head, and a row for each ratio, times as medians in the unit that fits them."""
    yield f"{'measured':<44} {'bare':>10} {'hil':>10} {'ratio':>7} {'goal':>6}", None
    for ratio in ratios:
        times = f"{_time(statistics.median(ratio.bare_s)):>10} {_time(statistics.median(ratio.ours_s)):>10}"
        yield f"{ratio.name:<44} {times} {ratio.value:>6.3f}x {ratio.goal:>5.2f}x", ratio.holds


def _time(seconds: float) -> str:
    if seconds >= 0.1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e6:.0f} us"
