"""Dividing work, and guessing what it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hil.boards.requirements import BoardInfo, BoardRequirement, matching_serials
from hil.suite.xdist.allocation import LONG, common_end, divide
from hil.suite.xdist.costs import Costs

SECONDS = st.floats(0.001, 10.0)
BUSY = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.0, 20.0), min_size=1)


@given(SECONDS, st.lists(st.floats(0.0, 20.0), min_size=1, max_size=8))
def test_common_end_uses_up_the_work(work_s: float, busy_s: list[float]) -> None:
    end_s = common_end(work_s, busy_s)

    assert abs(sum(max(0.0, end_s - each) for each in busy_s) - work_s) < 1e-6


@given(st.lists(SECONDS, max_size=60), BUSY)
def test_divide_gives_each_test_to_one_worker(costs: list[float], busy_s: dict[str, float]) -> None:
    shares = divide(range(len(costs)), costs.__getitem__, busy_s)

    assert sorted(index for share in shares.values() for index in share) == list(range(len(costs)))


@given(st.lists(SECONDS, min_size=1, max_size=60), BUSY)
def test_divide_lets_no_worker_end_much_later_than_the_common_end(
    costs: list[float], busy_s: dict[str, float]
) -> None:
    shares = divide(range(len(costs)), costs.__getitem__, busy_s)
    end_s = common_end(sum(costs), list(busy_s.values()))

    for worker, share in shares.items():
        if share:
            assert busy_s[worker] + sum(costs[index] for index in share) <= end_s * (1 + LONG) + max(costs)


def test_divide_cuts_equal_tests_into_stretches() -> None:
    shares = divide(range(100), lambda _: 1.0, {"a": 0.0, "b": 0.0, "c": 50.0})

    assert shares == {"a": list(range(50)), "b": list(range(50, 100)), "c": []}


def test_divide_puts_the_longest_test_first() -> None:
    costs = [1.0] * 50 + [30.0, 20.0]
    shares = divide(range(52), costs.__getitem__, {"a": 0.0, "b": 0.0})

    assert (shares["a"][0], shares["b"][0]) == (50, 51)


def test_costs_prefer_a_known_duration() -> None:
    costs = Costs({0: 3.0}, {0, 1})
    costs.measured(0, 7.0)

    assert costs.of(0) == 3.0


def test_costs_of_an_unknown_test_are_the_mean_of_the_known_ones() -> None:
    costs = Costs({0: 3.0, 1: 1.0}, {0, 2})
    costs.measured(2, 5.0)

    assert (costs.of(0), costs.of(2), costs.of(3)) == (3.0, 3.0, 3.0)


def test_costs_are_equal_if_nothing_is_known() -> None:
    costs = Costs({}, {1})

    assert costs.of(0) == costs.of(1) > 0


def test_a_board_must_have_all_tags_that_are_wanted() -> None:
    infos = [BoardInfo("1", "one", frozenset({"wifi", "emmc"})), BoardInfo("2", "two", frozenset({"wifi"}))]

    assert matching_serials(BoardRequirement(frozenset({"wifi"})), infos) == {"1", "2"}
    assert matching_serials(BoardRequirement(frozenset({"wifi", "emmc"})), infos) == {"1"}


def test_a_board_is_chosen_by_name_or_by_serial_number() -> None:
    infos = [BoardInfo("1", "one"), BoardInfo("2", "two")]

    assert (
        matching_serials(BoardRequirement(board="two"), infos)
        == matching_serials(BoardRequirement(board="2"), infos)
        == {"2"}
    )


def test_requirement_of_none_matches_no_board() -> None:
    assert matching_serials(None, [BoardInfo("1")]) == frozenset()
