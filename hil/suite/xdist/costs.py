"""What a test takes: known from earlier runs, measured in this one, or guessed from its like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["Costs"]

FIRST_GUESS_S = 1.0
LEAST_S = 0.0005  # what pytest and xdist need for an empty test


@dataclass(slots=True)
class Costs:
    """Seconds each test takes, by index.

    A test of unknown duration counts as the mean of those of its kind (with a board, or without) that are
    known; if there are none, as the mean of all; if nothing is known, all count the same.

    Attributes:
        known_s: From earlier runs.
        hardware: Which tests use a board.
    """

    known_s: Mapping[int, float]
    hardware: AbstractSet[int]
    _total_s: dict[bool, float] = field(init=False)
    _count: dict[bool, int] = field(init=False)

    def __post_init__(self) -> None:
        self._total_s = {True: 0.0, False: 0.0}
        self._count = {True: 0, False: 0}
        for index, seconds in self.known_s.items():
            self._learn(index, seconds)

    def of(self, index: int) -> float:
        """Seconds that the test is expected to take."""
        known_s = self.known_s.get(index)
        return max(LEAST_S, self._guess_s(index in self.hardware) if known_s is None else known_s)

    def measured(self, index: int, seconds: float) -> None:
        """Learn from a test of this run."""
        if index not in self.known_s:
            self._learn(index, seconds)

    def _learn(self, index: int, seconds: float) -> None:
        self._total_s[index in self.hardware] += seconds
        self._count[index in self.hardware] += 1

    def _guess_s(self, hardware: bool) -> float:
        if self._count[hardware]:
            return self._total_s[hardware] / self._count[hardware]
        count = sum(self._count.values())
        return sum(self._total_s.values()) / count if count else FIRST_GUESS_S
