"""Plans, run in simulated time."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.lab.locks.choice import choose
from hil.suite.xdist import allocation
from hil.suite.xdist.costs import Costs
from hil.suite.xdist.planner import Plan
from tests.no_hardware.suite.xdist.simulated_run import SimulatedRun

NAMES = "abcd"
PLAIN: frozenset[str] = frozenset()
SECONDS = st.sampled_from([0.0, 0.001, 0.05, 0.2, 1.0, 7.0])


def boards(count: int) -> frozenset[str]:
    return frozenset(NAMES[:count])


def kinds(order: str, hardware: int, total: int) -> list[bool]:
    if order == "first":
        return [True] * hardware + [False] * (total - hardware)
    if order == "last":
        return kinds("first", hardware, total)[::-1]
    if order == "interleaved":
        return [index * hardware // total != (index + 1) * hardware // total for index in range(total)]
    shuffled = kinds("first", hardware, total)
    random.Random(7).shuffle(shuffled)  # noqa: S311  # nothing to keep secret
    return shuffled


def suite(order: str, durations: str, count: int) -> tuple[list[float], list[frozenset[str]]]:
    """160 tests, so many with a board that boards and workers are about equally busy."""
    chosen = random.Random(11)  # noqa: S311  # nothing to keep secret
    wanted = [boards(count) if kind else PLAIN for kind in kinds(order, 38 * count, 160)]
    skewed = [0.05, 0.05, 0.1, 0.5]
    return [0.1 if durations == "equal" else chosen.choice(skewed) for _ in wanted], wanted


@st.composite
def any_run(draw: st.DrawFn) -> SimulatedRun:
    count = draw(st.integers(0, 4))
    tests = draw(st.integers(0, 40))
    requirement = st.frozensets(st.sampled_from(NAMES))
    seconds = draw(st.lists(SECONDS, min_size=tests, max_size=tests))
    wanted = draw(st.lists(requirement, min_size=tests, max_size=tests))
    which = st.frozensets(st.integers(0, max(0, tests - 1)), max_size=4)
    guesses = draw(st.dictionaries(st.integers(0, max(0, tests - 1)), SECONDS, max_size=tests))
    return SimulatedRun(
        seconds,
        wanted,
        NAMES[:count],
        draw(st.integers(1, 6)),
        {index: guess for index, guess in guesses.items() if index < tests},
        crashes=draw(which),
        loses=dict.fromkeys(draw(which), draw(st.sampled_from(NAMES))),
    )


@settings(max_examples=80, deadline=None)
@given(any_run(), st.frozensets(st.sampled_from(NAMES)))
def test_not_begun_puts_a_test_back_for_the_boards_that_can_be_used(
    run: SimulatedRun, unusable: frozenset[str]
) -> None:
    run.unusable = unusable
    run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(len(run.seconds)))
    assert not {board for _, _, board in run.ran} & unusable


@settings(max_examples=80, deadline=None)
@given(any_run(), st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.5, 20.0, 1000.0]), min_size=1))
def test_busy_board_costs_no_test_its_board(run: SimulatedRun, busy: dict[str, float]) -> None:
    run.busy = busy
    run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(len(run.seconds)))
    for _, index, board in run.ran:
        possible = run.wanted[index] & set(run.boards)
        assert board in possible or not possible or possible <= set(run.loses.values())


@settings(max_examples=80, deadline=None)
@given(any_run())
def test_every_test_runs_once_whatever_crashes_and_no_two_workers_share_a_board(run: SimulatedRun) -> None:
    run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(len(run.seconds)))


@settings(max_examples=80, deadline=None)
@given(any_run())
def test_hardware_tests_run_on_boards_that_they_want_unless_these_are_lost(run: SimulatedRun) -> None:
    run.run()

    for _, index, board in run.ran:
        possible = run.wanted[index] & set(run.boards)
        assert board in possible or (board is None and possible <= set(run.loses.values()))


@settings(max_examples=80, deadline=None)
@given(any_run())
def test_needs_a_remote_board_until_no_test_is_left_for_it(run: SimulatedRun) -> None:
    run.far = True
    run.run()

    assert set(run.given_back) == set(run.boards)
    for _, index, board in run.ran:
        possible = run.wanted[index] & set(run.boards)
        assert board in possible or not possible or run.crashed or possible <= set(run.loses.values())


@settings(max_examples=150, deadline=None)
@given(any_run(), st.data())
def test_tests_with_partners_run_once_on_different_boards_that_will_do(
    run: SimulatedRun, data: st.DataObject
) -> None:
    plain = [index for index, some in enumerate(run.wanted) if not some]
    some_boards = st.lists(st.frozensets(st.sampled_from(NAMES)), min_size=2, max_size=3)
    run.partnered = data.draw(st.dictionaries(st.sampled_from(plain), some_boards)) if plain else {}
    run.unusable = data.draw(st.frozensets(st.sampled_from(NAMES), max_size=1))
    run.busy = data.draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.5, 20.0]), max_size=2))
    run.__post_init__()
    run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(len(run.seconds)))
    for index, some in run.partnered.items():
        together = run.together.get(index, ())
        assert len(set(together)) == len(together)
        assert all(one in will_do for one, will_do in zip(together, some, strict=bool(together)))
        usable = set(run.boards) - run.unusable - set(run.loses.values())
        could = choose([sorted(will_do) for will_do in some], usable)
        assert together or could is None or run.crashed or index in run.by_themselves


@settings(max_examples=150, deadline=None)
@given(any_run(), st.data())
def test_tests_with_partners_run_once_whatever_images_they_want(
    run: SimulatedRun, data: st.DataObject
) -> None:
    plain = [index for index, some in enumerate(run.wanted) if not some]
    some_boards = st.lists(st.frozensets(st.sampled_from(NAMES)), min_size=2, max_size=3)
    on_boards = st.fixed_dictionaries(dict.fromkeys(NAMES, st.sampled_from(["", "x", "y", "z"])))
    run.partnered = data.draw(st.dictionaries(st.sampled_from(plain), some_boards)) if plain else {}
    run.images = data.draw(st.dictionaries(st.integers(0, len(run.seconds)), on_boards))
    run.__post_init__()
    run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(len(run.seconds)))


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("place", ["first", "last", "among"])
def test_tests_with_two_boards_cost_little_time(workers: int, place: str) -> None:
    """A run with 2 boards, 20 single and 4 double tests stays within 1.15x of its bound."""
    doubles = {"first": range(4), "last": range(20, 24), "among": range(2, 24, 6)}[place]
    wanted = [PLAIN if index in doubles else boards(2) for index in range(24)]
    run = SimulatedRun(
        [1.0] * 24, wanted, NAMES[:2], workers, partnered=dict.fromkeys(doubles, (boards(2), boards(2)))
    )
    bound_s = run.lower_bound_s()

    assert run.run() <= 1.15 * bound_s
    assert {run.together[index] for index in doubles} == {("a", "b")}
    assert run.setups <= 5


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("order", ["first", "last", "interleaved", "random"])
@pytest.mark.parametrize("durations", ["equal", "skewed"])
@pytest.mark.parametrize("known", [True, False])
def test_the_makespan_is_near_the_lower_bound(count: int, order: str, durations: str, known: bool) -> None:
    seconds, wanted = suite(order, durations, count)
    run = SimulatedRun(seconds, wanted, NAMES[:count], 4, dict(enumerate(seconds)) if known else {})

    assert run.run() <= 1.1 * run.lower_bound_s()


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("known", [True, False])
def test_the_makespan_of_tests_on_each_board_is_near_its_lower_bound(count: int, known: bool) -> None:
    chosen = random.Random(count)  # noqa: S311  # nothing to keep secret
    on_each = [chosen.choice((0.4, 0.4, 0.4, 1.6)) for _ in range(20)]
    seconds = [*on_each * count, *(chosen.choice((0.4, 1.6)) for _ in range(20))]
    wanted = [frozenset(board) for board in NAMES[:count] for _ in on_each] + [PLAIN] * 20
    run = SimulatedRun(seconds, wanted, NAMES[:count], 4, dict(enumerate(seconds)) if known else {})

    assert run.run() <= 1.1 * max(sum(on_each), run.lower_bound_s())
    assert run.setups == count


@pytest.mark.parametrize(("count", "workers"), [(3, 2), (4, 3), (8, 5)])
def test_the_makespan_of_a_matrix_is_near_its_lower_bound_with_fewer_workers_than_boards(
    count: int, workers: int
) -> None:
    names = "abcdefgh"[:count]
    seconds = [10.0] * 30 * count
    wanted = [frozenset(board) for board in names for _ in range(30)]
    run = SimulatedRun(seconds, wanted, names, workers, setup_s=2.0)

    assert run.run() <= 1.1 * max(300.0, run.lower_bound_s())
    assert run.setups < count + workers


def test_a_board_gives_way_to_no_other_where_that_gains_little() -> None:
    wanted = [frozenset(board) for board in "abc" for _ in range(30)]
    run = SimulatedRun([0.1] * 90, wanted, "abc", 2)
    run.run()

    assert run.setups == 3


@settings(max_examples=150, deadline=None)
@given(any_run(), st.frozensets(st.sampled_from(NAMES), max_size=1))
def test_boards_that_give_way_cost_no_test_and_are_shared_by_no_workers(
    run: SimulatedRun, unusable: frozenset[str]
) -> None:
    run.unusable = unusable
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocation, "LEAST_GAIN_S", 0.0)
        run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(len(run.seconds)))


def with_images(
    count: int, images: int, *, each: bool
) -> tuple[list[float], list[frozenset[str]], dict[int, dict[str, str]]]:
    """Tests with images: each on each board, or any of them on any board; and some without a board."""
    chosen = random.Random(count * images)  # noqa: S311  # nothing to keep secret
    seconds = [chosen.choice((0.4, 0.4, 0.4, 1.6)) for _ in range(12 * count * images)]
    order = [(board, image) for board in NAMES[:count] for image in range(images) for _ in range(12)]
    if not each:
        order.sort(key=lambda both: both[1])
    wanted = [frozenset(board) if each else boards(count) for board, _ in order]
    return (
        [*seconds, *[0.4] * 10],
        [*wanted, *[PLAIN] * 10],
        {at: dict.fromkeys(NAMES, str(image)) for at, (_, image) in enumerate(order)},
    )


@pytest.mark.parametrize("workers", [1, 2, 4, 6])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("each", [True, False])
def test_no_board_gets_an_image_twice(workers: int, count: int, images: int, each: bool) -> None:
    seconds, wanted, image_of = with_images(count, images, each=each)
    run = SimulatedRun(seconds, wanted, NAMES[:count], workers, images=image_of, flash_s=2.0)
    run.run()

    assert len(set(run.flashes)) == len(run.flashes)
    assert len(run.flashes) == count * images or not each


@pytest.mark.parametrize("count", [2, 4])
def test_boards_share_images_so_that_few_are_flashed(count: int) -> None:
    seconds, wanted, image_of = with_images(count, 4, each=False)
    run = SimulatedRun(seconds, wanted, NAMES[:count], count, images=image_of, flash_s=2.0)
    run.run()

    assert len(run.flashes) < 0.75 * count * 4


@settings(max_examples=80, deadline=None)
@given(any_run(), st.lists(st.sampled_from(["", "a", "b"]), min_size=1))
def test_all_tests_run_with_images_whatever_is_lost(run: SimulatedRun, images: list[str]) -> None:
    image_of = {index: dict.fromkeys(NAMES, images[index % len(images)]) for index in range(len(run.seconds))}
    fields = {one.name: getattr(run, one.name) for one in dataclasses.fields(run) if one.init}
    again = SimulatedRun(**fields | {"images": image_of})
    again.run()

    assert {index for _, index, _ in again.ran} | set(again.crashed) == set(range(len(run.seconds)))


@pytest.mark.parametrize("order", ["first", "last", "interleaved", "random"])
def test_a_board_is_set_up_once_when_durations_are_known(order: str) -> None:
    seconds, wanted = suite(order, "skewed", 2)
    run = SimulatedRun(seconds, wanted, "ab", 4, dict(enumerate(seconds)))
    run.run()

    assert run.setups == 2


def test_long_tests_go_first_where_durations_are_known() -> None:
    seconds = [0.1] * 60 + [2.0]
    run = SimulatedRun(seconds, [PLAIN] * 61, "", 4, dict(enumerate(seconds)))

    assert run.run() < 2.15
    first_of_each_worker = {worker: index for worker, index, _ in reversed(run.ran)}
    assert 60 in first_of_each_worker.values()


def test_tests_of_a_module_stay_together() -> None:
    run = SimulatedRun([0.1] * 80, [PLAIN] * 80, "", 4)
    run.run()

    jumps = 0
    for worker in ("gw0", "gw1", "gw2", "gw3"):
        mine = [index for name, index, _ in run.ran if name == worker]
        jumps += sum(after != before + 1 for before, after in itertools.pairwise(mine))
    assert jumps <= 8


def test_a_worker_with_a_board_takes_no_other_test_while_hardware_waits() -> None:
    wanted = [PLAIN, boards(1)] * 20
    run = SimulatedRun([0.1] * 40, wanted, "a", 4)
    run.run()

    holder = next(worker for worker, _, board in run.ran if board)
    mine = [board for worker, _, board in run.ran if worker == holder]
    assert mine[:20] == ["a"] * 20


def test_one_worker_serves_many_boards_one_after_the_other() -> None:
    wanted = [frozenset(name) for name in "abcdabcd"]
    run = SimulatedRun([0.1] * 8, wanted, NAMES, 1)
    run.run()

    assert [board for _, _, board in run.ran] == list("aabbccdd")
    assert run.setups == 4


def test_a_test_that_only_one_board_can_run_gets_that_board() -> None:
    wanted = [boards(4)] * 6 + [frozenset("d")] * 2
    run = SimulatedRun([0.1] * 8, wanted, NAMES, 2)
    run.run()

    assert {board for _, index, board in run.ran if index >= 6} == {"d"}
    assert run.setups == 2


def test_test_that_no_board_suits_runs_without_one() -> None:
    run = SimulatedRun([0.1] * 8, [frozenset("x")] * 8, "a", 4)
    run.run()

    assert {board for _, _, board in run.ran} == {None}


def test_the_board_of_a_crashed_worker_is_passed_on_before_it_is_replaced() -> None:
    wanted = [boards(1)] * 10 + [PLAIN] * 30
    run = SimulatedRun([0.1] * 40, wanted, "a", 4, crashes=frozenset([0]))
    run.run()

    holders = [worker for worker, _, board in run.ran if board]
    assert holders[0] != holders[1]
    assert set(holders[1:]) <= {"gw0", "gw1", "gw2", "gw3"}


def test_worker_that_xdist_has_ended_gets_no_more_tests() -> None:
    plan = Plan([PLAIN] * 40, [], Costs(dict.fromkeys(range(40), 1.0), set()))
    plan.join("one")
    plan.join("two")
    plan.next_actions(0.0)

    plan.end("one", 1.0)
    plan.complete("one", 0, 1.0, 1.0)

    actions = plan.next_actions(1.0)
    assert "one" not in actions.send.keys() | set(actions.close)


def test_tests_of_a_lost_board_go_to_the_others() -> None:
    run = SimulatedRun([0.1] * 20, [boards(2)] * 20, "ab", 2, loses={0: "a"})
    run.run()

    assert sum(board == "b" for _, _, board in run.ran) >= 17


def test_a_worker_that_waits_for_long_keeps_no_more_than_two_tests() -> None:
    seconds = [30.0] + [0.1] * 39
    run = SimulatedRun(seconds, [boards(2)] * 40, "ab", 4)
    run.run()

    waiter = next(worker for worker, index, _ in run.ran if index == 0)
    assert sum(worker == waiter for worker, _, _ in run.ran) <= 2


def test_board_that_is_needed_again_is_released_before_another_is_acquired() -> None:
    requirements = "a - - - - - a a abc abc ab ab - - - - a a b ab bc abc abc abc abc"  # found by hypothesis
    wanted = [frozenset(requirement) - {"-"} for requirement in requirements.split()]
    seconds = [0.05 if index == 9 else 0.2 if index == 11 else 0.0 for index in range(25)]
    run = SimulatedRun(seconds, wanted, "abc", 4, {0: 0.0}, crashes=frozenset([0]))
    run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(25))
