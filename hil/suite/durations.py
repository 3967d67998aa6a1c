"""How long each test took in earlier runs, kept in pytest's cache."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

__all__ = ["Durations"]

KEY = "hil/durations"
MOST = 20_000  # tests to remember; those not run for the longest time are forgotten
GROUP = re.compile(r"@[^\]@]*$")  # what --dist loadgroup appends to a node id


class Durations:
    """Seconds from set-up to tear-down, by plain node id.

    Args:
        config: The run; its cache provider may be missing, then nothing is remembered.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._cache: pytest.Cache | None = getattr(config, "cache", None)
        self._grouped = getattr(config.option, "dist", "no") == "loadgroup"
        self._running_s: dict[str, float] = {}
        self._measured_s: dict[str, float] = {}

    def known_s(self, nodeids: Sequence[str]) -> Mapping[int, float]:
        """The seconds of those tests that have run before, by position."""
        before = self._load()
        return {index: before[nodeid] for index, nodeid in enumerate(nodeids) if nodeid in before}

    def add(self, report: pytest.TestReport) -> None:
        """Take in one phase of a test; a test that was skipped says nothing about its duration."""
        nodeid = self._plain(report.nodeid)
        self._running_s[nodeid] = self._running_s.get(nodeid, 0.0) + report.duration
        if report.when == "call" and (not report.skipped or hasattr(report, "wasxfail")):
            self._measured_s[nodeid] = 0.0
        if report.when == "teardown":
            seconds = self._running_s.pop(nodeid)
            if nodeid in self._measured_s:
                self._measured_s[nodeid] = seconds

    def save(self) -> None:
        """Remember this run: half of what is said next time comes from it, half from those before."""
        if self._cache is None or not self._measured_s:
            return
        before = self._load()
        for nodeid, seconds in self._measured_s.items():
            before[nodeid] = round(
                (before.pop(nodeid, seconds) + seconds) / 2, 4
            )  # the newest are at the end
        self._cache.set(KEY, dict(list(before.items())[-MOST:]))

    def _plain(self, nodeid: str) -> str:
        return GROUP.sub("", nodeid) if self._grouped else nodeid

    def _load(self) -> dict[str, float]:
        found = self._cache.get(KEY, None) if self._cache else None
        return dict(found) if isinstance(found, dict) else {}
