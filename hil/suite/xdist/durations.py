"""How long each test took in earlier runs: as a history knows it, else as pytest's cache does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Durations", "Measured"]

Measured: TypeAlias = Callable[[pytest.Config], Mapping[str, float]]
"""What a history knows: seconds by plain node id; empty where it knows nothing."""

KEY = "hil/durations"
MOST = 20_000  # tests to remember; those not run for the longest time are forgotten
GROUP = re.compile(r"@[^\]@]*$")  # what --dist loadgroup appends to a node id


class Durations:
    """Seconds from set-up to tear-down, by plain node id.

    Args:
        config: The run; its cache provider may be missing, then nothing is remembered.
        measured: Returns what a history knows of them, by plain node id.
    """

    def __init__(self, config: pytest.Config, measured: Measured = lambda _config: {}) -> None:
        self._config = config
        self._measured = measured
        self._cache: pytest.Cache | None = getattr(config, "cache", None)
        self._grouped = getattr(config.option, "dist", "no") == "loadgroup"
        self._took_s: dict[str, float] = {}
        self._tested: set[str] = set()

    def known_s(self, nodeids: Sequence[str]) -> Mapping[int, float]:
        """The seconds of those tests that have run before, by position."""
        before = {**self._load(), **self._measured(self._config)}
        return {index: before[nodeid] for index, nodeid in enumerate(nodeids) if nodeid in before}

    def add(self, report: pytest.TestReport) -> None:
        """Take in one phase of a test; of several attempts the last counts, and a skip says nothing."""
        nodeid = report.nodeid
        if report.when == "setup":
            self._took_s[nodeid] = report.duration
            return
        self._took_s[nodeid] = self._took_s.get(nodeid, 0.0) + report.duration
        if report.when == "call" and (not report.skipped or hasattr(report, "wasxfail")):
            self._tested.add(nodeid)

    def save(self) -> None:
        """Remember this run: half of what is said next time comes from it, half from those before."""
        if self._cache is None or not self._tested:
            return
        before = self._load()
        for nodeid, seconds in self._took_s.items():
            if nodeid in self._tested:
                plain = self._plain(nodeid)  # what is set last is at the end
                before[plain] = round((before.pop(plain, seconds) + seconds) / 2, 4)
        self._cache.set(KEY, dict(list(before.items())[-MOST:]))

    def _plain(self, nodeid: str) -> str:
        return GROUP.sub("", nodeid) if self._grouped else nodeid

    def _load(self) -> dict[str, float]:
        found = self._cache.get(KEY, None) if self._cache else None
        return dict(found) if isinstance(found, dict) else {}
