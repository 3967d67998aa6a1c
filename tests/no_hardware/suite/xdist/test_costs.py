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
        into.pytest_runtest_logreport(report)


def test_duration_is_the_sum_of_all_phases() -> None:
    cache = FakeCache()
    measured = durations(cache)
    ran(measured, "test_a", 2.0)
    measured.save()

    assert cache.stored == {"test_a": 2.0}


def test_duration_of_earlier_runs_counts_half() -> None:
    cache = FakeCache({"test_a": 4.0})
    measured = durations(cache)
    ran(measured, "test_a", 2.0)
    measured.save()

    assert cache.stored == {"test_a": 3.0}


def test_duration_of_a_skipped_test_is_not_remembered() -> None:
    cache = FakeCache({"test_a": 4.0})
    measured = durations(cache)
    ran(measured, "test_a", 0.0, "skipped")
    measured.save()

    assert cache.stored == {"test_a": 4.0}


def test_duration_of_an_expected_failure_is_remembered() -> None:
    cache = FakeCache()
    measured = durations(cache)
    ran(measured, "test_a", 2.0, "skipped", wasxfail="reason")
    measured.save()

    assert cache.stored == {"test_a": 2.0}


@pytest.mark.parametrize("nodeid", ["m.py::test_a", "m.py::test_a[x@y]"])
def test_durations_have_no_group_of_loadgroup_in_their_keys(nodeid: str) -> None:
    cache = FakeCache()
    measured = durations(cache, "loadgroup")
    ran(measured, nodeid + "@group", 2.0)
    measured.save()

    assert cache.stored == {nodeid: 2.0}


def test_durations_keep_an_at_sign_without_groups() -> None:
    cache = FakeCache()
    measured = durations(cache)
    ran(measured, "mail@home.py::test_a", 2.0)
    measured.save()

    assert cache.stored == {"mail@home.py::test_a": 2.0}


def test_durations_are_found_by_position() -> None:
    assert durations(FakeCache({"test_b": 2.0})).known_s(["test_a", "test_b"]) == {1: 2.0}


@pytest.mark.parametrize("cache", [None, FakeCache(["not", "a", "table"])])
def test_durations_take_a_missing_or_broken_cache_for_empty(cache: FakeCache | None) -> None:
    measured = durations(cache)
    ran(measured, "test_a", 2.0)
    measured.save()

    assert durations(None).known_s(["test_a"]) == {}


def test_durations_forget_tests_that_did_not_run_for_the_longest_time() -> None:
    cache = FakeCache({f"test_{number}": 1.0 for number in range(MOST)})
    measured = durations(cache)
    ran(measured, "test_0", 1.0)
    ran(measured, "test_new", 1.0)
    measured.save()

    stored = cast("dict[str, float]", cache.stored)
    assert len(stored) == MOST
    assert "test_0" in stored
    assert "test_1" not in stored
