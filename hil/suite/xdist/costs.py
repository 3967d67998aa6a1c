"""How long tests take: known from earlier runs, else guessed from those of this run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["Costs", "Durations", "Measured", "without_group"]

Measured: TypeAlias = Callable[[pytest.Config], Mapping[str, float]]
"""Returns what a history knows: seconds by node id without group; empty if it knows nothing."""

FIRST_GUESS_S = 1.0
LEAST_S = 0.0005
"""Seconds that pytest and xdist need for an empty test."""

KEY = "hil/durations"
MOST = 20_000
"""How many tests are remembered; those that were not run for the longest time are forgotten."""

_GROUP = re.compile(r"@[^\]@]*$")


def without_group(nodeid: str) -> str:
    """Return a node id without the group that `--dist loadgroup` appends."""
    return _GROUP.sub("", nodeid)


@dataclass(slots=True)
class Costs:
    """Seconds that each test takes, by index; an unknown duration counts as the mean of the known ones.

    Attributes:
        known_s: From earlier runs.
        hardware: Which tests use a board.
    """

    known_s: Mapping[int, float]
    hardware: AbstractSet[int]
    _total_s: float = field(init=False)
    _count: int = field(init=False)

    def __post_init__(self) -> None:
        self._total_s = sum(self.known_s.values())
        self._count = len(self.known_s)

    def of(self, index: int) -> float:
        """Return how long a test is expected to take, in seconds."""
        mean_s = self._total_s / self._count if self._count else FIRST_GUESS_S
        return max(LEAST_S, self.known_s.get(index, mean_s))

    def measured(self, index: int, seconds: float) -> None:
        """Learn from a test of this run."""
        if index not in self.known_s:
            self._total_s += seconds
            self._count += 1


class Durations:
    """Seconds from set-up to tear-down that tests took in earlier runs: by a history, else by pytest's cache.

    A pytest plugin in the process that remembers them.

    Args:
        config: The run; without a cache provider nothing is remembered.
        measured: Returns what a history knows.
    """

    def __init__(self, config: pytest.Config, measured: Measured = lambda _config: {}) -> None:
        self._config = config
        self._measured = measured
        self._cache: pytest.Cache | None = getattr(config, "cache", None)
        self._grouped = getattr(config.option, "dist", "no") == "loadgroup"
        self._took_s: dict[str, float] = {}
        self._tested: set[str] = set()

    def known_s(self, nodeids: Sequence[str]) -> Mapping[int, float]:
        """Return the seconds of the tests that have run before, by position."""
        before = {**self._load(), **self._measured(self._config)}
        return {index: before[nodeid] for index, nodeid in enumerate(nodeids) if nodeid in before}

    @property
    def remembers(self) -> bool:
        """Whether this run can remember durations."""
        return self._cache is not None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test; of several attempts the last counts, and a skip says nothing."""
        nodeid = report.nodeid
        if report.when == "setup":
            self._took_s[nodeid] = report.duration
            return
        self._took_s[nodeid] = self._took_s.get(nodeid, 0.0) + report.duration
        if report.when == "call" and (not report.skipped or hasattr(report, "wasxfail")):
            self._tested.add(nodeid)

    def save(self) -> None:
        """Remember this run: the next run expects the mean of this duration and the remembered one."""
        if self._cache is None or not self._tested:
            return
        before = self._load()
        for nodeid, seconds in self._took_s.items():
            if nodeid in self._tested:
                plain = without_group(nodeid) if self._grouped else nodeid  # what is set last is at the end
                before[plain] = round((before.pop(plain, seconds) + seconds) / 2, 4)
        self._cache.set(KEY, dict(list(before.items())[-MOST:]))

    def _load(self) -> dict[str, float]:
        found = self._cache.get(KEY, None) if self._cache else None
        return dict(found) if isinstance(found, dict) else {}
