"""Statistical tests against published or counted values."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.history.statistics import fisher, slower_p, wilson


def test_fisher_gives_the_tea_ladys_result() -> None:
    assert fisher(3, 4, 1, 4) == pytest.approx(17 / 70)


@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 5), st.integers(1, 5))
def test_fisher_equals_counting_all_tables(a: int, n: int, b: int, m: int) -> None:
    a, b = min(a, n), min(b, m)
    ways = [sum(one < n for one in failed) for failed in combinations(range(n + m), a + b)]

    assert fisher(a, n, b, m) == pytest.approx(sum(here >= a for here in ways) / len(ways))


def test_wilson_of_no_runs_is_the_whole_interval() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_equals_published_values() -> None:
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)


def test_slower_p_of_equal_times_is_high() -> None:
    assert slower_p([1.0] * 10, [1.0] * 10) == 1.0


def test_slower_p_of_longer_times_is_low() -> None:
    assert slower_p(range(10), range(10, 20)) < 1e-3
