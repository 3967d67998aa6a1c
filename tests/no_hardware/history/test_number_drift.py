"""A number that drifts on a board, or steps at a commit, is named with its beginning; noise is not."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.evidence.records import RunRecord
from hil.history.numbers.drift import Drift, drifts_of
from hil.history.numbers.series import NumberPoint, NumberSeries
from hil.report.number_plot import draw_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY_S = 86_400.0
NIGHTS = 90
BOARDS = [f"0df1003{number}" for number in range(4)]


def runs(since: int = NIGHTS, image_since: int = NIGHTS) -> list[RunRecord]:
    return [
        RunRecord(
            f"n{night}",
            night * DAY_S,
            commit="b" * 40 if night >= since else "a" * 40,
            image="v2" if night >= image_since else "v1",
        )
        for night in range(NIGHTS)
    ]


def white(rng: random.Random) -> Iterator[float]:
    while True:
        yield rng.gauss(0, 1)


def heavy(rng: random.Random) -> Iterator[float]:
    """Student's t with three degrees of freedom: outliers of ten sigma occur."""
    while True:
        yield rng.gauss(0, 1) / (sum(rng.gauss(0, 1) ** 2 for _ in range(3)) / 3) ** 0.5


def slow(rng: random.Random) -> Iterator[float]:
    """Neighbouring values resemble each other."""
    value = 0.0
    while True:
        value = 0.5 * value + rng.gauss(0, 1)
        yield value


def two_modes(rng: random.Random) -> Iterator[float]:
    while True:
        yield rng.gauss(6 if rng.random() < 0.15 else 0, 1)


def latency(rng: random.Random) -> Iterator[float]:
    while True:
        yield rng.lognormvariate(0, 0.8)


def whole(rng: random.Random) -> Iterator[float]:
    while True:
        yield float(round(rng.gauss(0, 0.6)))


def constant(_rng: random.Random) -> Iterator[float]:
    while True:
        yield 0.0


NOISES = [white, heavy, slow, two_modes, latency, whole, constant]


def series(
    rng: random.Random,
    noise: Callable[[random.Random], Iterator[float]],
    effect: Callable[[int, str], float] = lambda _night, _board: 0.0,
    *,
    each: bool = False,
) -> NumberSeries:
    """A number around 100, with a noise of about 1 % and boards that differ by as much."""
    levels = {board: 100 + rng.gauss(0, 1) for board in BOARDS}
    made = noise(rng)
    points = [
        NumberPoint(night, levels[board] + next(made) + effect(night, board), board, test="t.py::test_a")
        for night in range(NIGHTS)
        for board in (BOARDS if each else [rng.choice(BOARDS)])
        if rng.random() > 0.03
    ]
    return NumberSeries("t.py::test_a", "boot", "s", points)


@dataclass(frozen=True)
class Planted:
    """What one random quarter has."""

    board: str
    drift_since: int
    drift: float
    step_at: int
    step: float

    @classmethod
    def by(cls, rng: random.Random) -> Planted:
        return cls(
            rng.choice(BOARDS),
            rng.randrange(0, 30),
            rng.choice([-1, 1]) * rng.uniform(12, 20),
            rng.randrange(20, 80),
            rng.choice([-1, 1]) * rng.uniform(4, 10),
        )

    def drifting(self, night: int, board: str) -> float:
        share = max(0.0, (night - self.drift_since) / (NIGHTS - self.drift_since))
        return self.drift * share if board == self.board else 0.0

    def stepping(self, night: int, _board: str) -> float:
        return self.step if night >= self.step_at else 0.0


def quarter(seed: int) -> tuple[Planted, dict[str, list[Drift]]]:
    """Three numbers of each noise, one that drifts on a board, and one that steps at a commit."""
    rng = random.Random(seed)  # noqa: S311 - the same quarter each time
    planted, each = Planted.by(rng), seed % 2 == 0
    numbers = {f"{noise.__name__} {at}": series(rng, noise, each=each) for at in range(3) for noise in NOISES}
    numbers["drifts"] = series(rng, white, planted.drifting, each=each)
    numbers["steps"] = series(rng, white, planted.stepping, each=each)
    facts = runs(planted.step_at)
    return planted, {name: drifts_of(one, facts, len(numbers)) for name, one in numbers.items()}


@pytest.mark.thorough
def test_drifts_name_what_was_planted_in_200_quarters_and_nothing_else() -> None:
    missed, false = [], []
    for seed in range(200):
        planted, found = quarter(seed)
        drifts, steps = found.pop("drifts"), found.pop("steps")
        false += [(seed, name, str(one)) for name, some in found.items() for one in some]
        if [(one.factor, one.value) for one in drifts] != [("board", planted.board)]:
            missed.append((seed, list(map(str, drifts)), planted))
        if [(one.factor, one.is_step, one.commit[:1]) for one in steps] != [("", True, "b")]:
            missed.append((seed, list(map(str, steps)), planted))

    assert len({seed for seed, *_ in false}) <= 2, false
    assert len(missed) <= 4, missed


def made(effect: Callable[[int, str], float], *, each: bool = True, seed: int = 1) -> NumberSeries:
    return series(random.Random(seed), white, effect, each=each)  # noqa: S311 - the same each time


def test_drift_on_one_board_tells_since_when_and_by_how_much() -> None:
    number = made(lambda night, board: max(0, night - 30) / 3 if board == BOARDS[2] else 0)

    (drift,) = drifts_of(number, runs())

    assert (drift.factor, drift.value, drift.is_step) == ("board", BOARDS[2], False)
    assert abs(drift.since_s / DAY_S - 30) <= 5
    assert drift.after - drift.before == pytest.approx(20, abs=2)
    assert str(drift).startswith("t.py::test_a: boot has been rising since 1970-0")
    assert str(drift).endswith("on board 0df10032 alone of 4")


@pytest.mark.parametrize("each", [True, False])
def test_step_on_all_boards_names_the_commits_around_it(each: bool) -> None:
    (drift,) = drifts_of(made(lambda night, _: 5.0 * (night >= 60), each=each), runs(since=60))

    assert (drift.factor, drift.is_step, drift.since_s) == ("", True, 60 * DAY_S)
    assert (drift.commit[:1], drift.commit_before[:1], drift.image) == ("b", "a", "")
    assert "on all 4 boards, at commit bbbbbbbbbb (before: aaaaaaaaaa)" in str(drift)


def test_step_at_a_new_image_names_the_image() -> None:
    number = made(lambda night, _: -5.0 * (night >= 40))
    number.points = [
        replace(point, image="v2.img" if point.run >= 40 else "v1.img") for point in number.points
    ]

    (drift,) = drifts_of(number, runs())

    assert (drift.image, drift.image_before, drift.commit) == ("v2.img", "v1.img", "")
    assert "fell since 1970-02-10" in str(drift)
    assert "with image v2.img (before: v1.img)" in str(drift)


def test_drift_with_one_of_two_images_that_take_turns_names_the_image() -> None:
    number = made(lambda _night, _board: 0.0)
    number.points = [
        replace(
            point,
            image=f"v{1 + point.run % 2}",
            value=point.value + (9 + point.run / 5 if point.run % 2 else 0),
        )
        for point in number.points
    ]

    (drift,) = drifts_of(number, runs())

    assert (drift.factor, drift.value) == ("image", "v2")


def on_images(images: Callable[[int], tuple[str, ...]], value: Callable[[str], float]) -> NumberSeries:
    """A number on two boards with the images of each night."""
    rng = random.Random(9)  # noqa: S311 - the same values each time
    points = [
        NumberPoint(night, value(image) + rng.gauss(0, 1), board, image, test="t.py::test_a")
        for night in range(NIGHTS)
        for board in BOARDS[:2]
        for image in images(night)
    ]
    return NumberSeries("t.py::test_a", "boot", "s", points)


LEVELS = {"rack-v2.0.img": 100.0, "rack-v2.1.img": 106.0, "rescue.img": 40.0}


@pytest.mark.parametrize(
    "images",
    [
        lambda night: ("rescue.img" if night % 2 else "rack-v2.1.img" if night >= 50 else "rack-v2.0.img",),
        lambda night: ("rescue.img", "rack-v2.1.img" if night >= 50 else "rack-v2.0.img"),
    ],
    ids=["in turns", "in each night"],
)
def test_step_with_a_new_image_beside_another_one_is_named(images: Callable[[int], tuple[str, ...]]) -> None:
    (drift,) = drifts_of(on_images(images, LEVELS.__getitem__), runs())

    assert (drift.is_step, drift.factor, drift.value) == (True, "image", "rack-v2.1.img")
    assert (drift.image, drift.image_before) == ("rack-v2.1.img", "rack-v2.0.img")
    assert str(drift).endswith("with image rack-v2.1.img (before: rack-v2.0.img), not with other images")


def test_daily_images_beside_a_reference_are_one_line() -> None:
    number = on_images(
        lambda night: ("golden.img", f"nightly-{night:03}.img"),
        lambda image: 40.0 if image == "golden.img" else 100.0 + 6 * (image >= "nightly-060"),
    )

    (drift,) = drifts_of(number, runs())

    assert (drift.factor, drift.value, drift.since_s) == ("image", "nightly-089.img", 60 * DAY_S)


def test_image_of_a_single_night_is_no_line_of_its_own_for_the_step_of_another() -> None:
    number = on_images(
        lambda night: ("rack-v2.0.img" if night < 50 or night == 60 else "rack-v2.1.img",), LEVELS.__getitem__
    )

    (drift,) = drifts_of(number, runs())

    assert (drift.factor, drift.is_step, drift.since_s) == ("", True, 50 * DAY_S)


@pytest.mark.parametrize("seed", range(8))
def test_images_that_take_turns_are_no_drift_by_themselves(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same quarters each time
    for noise in NOISES:
        number = series(rng, noise)
        names, turns = ["a.img", "b.img", "c.img"], rng.randrange(1, 3)
        chosen = [names[:turns] if turns > 1 else [rng.choice(names)] for _ in range(NIGHTS)]
        points = [
            replace(point, image=image, value=point.value + 30 * names.index(image))
            for point in number.points
            for image in chosen[point.run]
        ]

        assert drifts_of(replace(number, points=points), runs(), 20) == []


def test_step_and_drift_of_one_number_are_both_named() -> None:
    number = made(lambda night, board: 8.0 * (night >= 45) + (night / 6 if board == BOARDS[0] else 0))

    found = drifts_of(number, runs(since=45))

    assert sorted((one.factor, one.is_step) for one in found) == [("", True), ("board", False)]


def test_step_on_the_only_board_is_told_with_it() -> None:
    number = made(lambda night, _: 5.0 * (night >= 60))
    number.points = [point for point in number.points if point.board == BOARDS[0]]

    (drift,) = drifts_of(number, runs())

    assert (drift.factor, drift.value) == ("", BOARDS[0])
    assert str(drift).endswith("on board 0df10030")


def test_step_of_a_test_without_a_board_names_none() -> None:
    points = [
        NumberPoint(night, 10 + night % 2 + 5 * (night > 50), test="t.py::a") for night in range(NIGHTS)
    ]

    (drift,) = drifts_of(NumberSeries("t.py::a", "size", "MB", points), runs())

    assert str(drift) == "t.py::a: size rose since 1970-02-21, 10 MB became 15.02 MB (+50.2%)"


@pytest.mark.parametrize(
    "value",
    [
        lambda _night: 5.0,
        lambda night: 5.0 + 100 * (night == 80),
        lambda night: 5.0 + 3 * (night >= 87),
        lambda night: 100 + 0.5 * (night >= 50) + night % 3,
    ],
    ids=["constant", "one outlier", "three nights", "half a percent"],
)
def test_drift_is_not_named_too_soon(value: Callable[[int], float]) -> None:
    points = [NumberPoint(night, value(night), BOARDS[0]) for night in range(NIGHTS)]

    assert drifts_of(NumberSeries("t", "n", "s", points), runs()) == []


def test_drift_needs_ten_nights() -> None:
    points = [NumberPoint(night, float(night >= 5), BOARDS[0]) for night in range(9)]

    assert drifts_of(NumberSeries("t", "n", "s", points), runs()) == []


def test_drift_of_exact_values_is_named() -> None:
    points = [NumberPoint(night, 512.0 if night < 80 else 530.0, BOARDS[0]) for night in range(NIGHTS)]

    (drift,) = drifts_of(NumberSeries("t", "size", "MB", points), runs())

    assert (drift.before, drift.after, drift.since_s) == (512.0, 530.0, 80 * DAY_S)


def test_drift_follows_nights_and_not_the_order_of_values() -> None:
    """A board that is used seldom, then often, drifts by the calendar."""
    nights = [0, 20, 40, 50, *range(60, NIGHTS)]
    points = [NumberPoint(night, 100.0 + night / 3 + night % 2, BOARDS[0]) for night in nights]

    (drift,) = drifts_of(NumberSeries("t", "n", "s", points), runs())

    assert drift.after - drift.before == pytest.approx(30, abs=3)


odd_values = st.one_of(
    st.floats(-9e99, 9e99), st.sampled_from([0.0, 1.0, 5e-324, -1e-200, 1e99]), st.integers(0, 3).map(float)
)


@given(
    st.lists(st.tuples(st.integers(0, NIGHTS - 1), st.sampled_from(BOARDS[:2]), odd_values), min_size=1),
    st.integers(0, 3),
)
def test_drifts_of_any_values_are_told_and_drawn(values: list[tuple[int, str, float]], repeats: int) -> None:
    points = [
        NumberPoint(run, value, board, f"v{run % 2}", value, -value)
        for run, board, value in sorted(values * (repeats + 1))
    ]
    number = NumberSeries("t.py::test_a", "boot", "s", points)

    found = drifts_of(number, runs(since=60))

    assert all(one.test == "t.py::test_a" or not one.test for one in found)
    assert str(draw_numbers(number, runs(), found)).count("<circle") == len(points)
