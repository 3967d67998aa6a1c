"""What is remembered of how long tests took."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hil.suite.xdist.costs import KEY, MOST, Durations


class FakeCache:
    def __init__(self, stored: object = None) -> None:
        self.stored = stored

    def get(self, key: str, default: object) -> object:
        assert key == KEY
        return default if self.stored is None else self.stored

    def set(self, key: str, value: object) -> None:
        assert key == KEY
        self.stored = value


def durations(cache: FakeCache | None, dist: str = "load") -> Durations:
    return Durations(cast("pytest.Config", SimpleNamespace(cache=cache, option=SimpleNamespace(dist=dist))))


def ran(into: Durations, nodeid: str, seconds: float, outcome: str = "passed", **facts: Any) -> None:
    for when, duration in (("setup", seconds / 4), ("call", seconds / 2), ("teardown", seconds / 4)):
        report = pytest.TestReport(
            nodeid, ("", 0, ""), {}, outcome if when == "call" else "passed", None, when, duration=duration
        )
        for name, value in facts.items():
            setattr(report, name, value)
        into.add(report)


def test_a_duration_is_that_of_all_phases() -> None:
    cache = FakeCache()
    measured = durations(cache)
    ran(measured, "test_a", 2.0)
    measured.save()

    assert cache.stored == {"test_a": 2.0}


def test_earlier_runs_count_half() -> None:
    cache = FakeCache({"test_a": 4.0})
    measured = durations(cache)
    ran(measured, "test_a", 2.0)
    measured.save()

    assert cache.stored == {"test_a": 3.0}


def test_a_skipped_test_says_nothing() -> None:
    cache = FakeCache({"test_a": 4.0})
    measured = durations(cache)
    ran(measured, "test_a", 0.0, "skipped")
    measured.save()

    assert cache.stored == {"test_a": 4.0}


def test_an_expected_failure_counts() -> None:
    cache = FakeCache()
    measured = durations(cache)
    ran(measured, "test_a", 2.0, "skipped", wasxfail="reason")
    measured.save()

    assert cache.stored == {"test_a": 2.0}


@pytest.mark.parametrize("nodeid", ["m.py::test_a", "m.py::test_a[x@y]"])
def test_the_group_of_loadgroup_is_no_part_of_the_key(nodeid: str) -> None:
    cache = FakeCache()
    measured = durations(cache, "loadgroup")
    ran(measured, nodeid + "@group", 2.0)
    measured.save()

    assert cache.stored == {nodeid: 2.0}


def test_without_groups_an_at_sign_is_kept() -> None:
    cache = FakeCache()
    measured = durations(cache)
    ran(measured, "mail@home.py::test_a", 2.0)
    measured.save()

    assert cache.stored == {"mail@home.py::test_a": 2.0}


def test_known_durations_are_found_by_position() -> None:
    assert durations(FakeCache({"test_b": 2.0})).known_s(["test_a", "test_b"]) == {1: 2.0}


@pytest.mark.parametrize("cache", [None, FakeCache(["not", "a", "table"])])
def test_a_cache_that_is_missing_or_odd_is_as_good_as_an_empty_one(cache: FakeCache | None) -> None:
    measured = durations(cache)
    ran(measured, "test_a", 2.0)
    measured.save()

    assert durations(None).known_s(["test_a"]) == {}


def test_what_did_not_run_for_long_is_forgotten_first() -> None:
    cache = FakeCache({f"test_{number}": 1.0 for number in range(MOST)})
    measured = durations(cache)
    ran(measured, "test_0", 1.0)
    ran(measured, "test_new", 1.0)
    measured.save()

    stored = cast("dict[str, float]", cache.stored)
    assert len(stored) == MOST
    assert "test_0" in stored
    assert "test_1" not in stored
