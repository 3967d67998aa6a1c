"""The law of the schedule: each test runs once on boards that suit, and no worker waits for another's board.

It holds for random suites with partners and images, whichever workers crash and whichever boards are busy,
lost, unusable or returned to their lab. `SimulatedRun` asserts what concerns workers while it runs.
"""

from __future__ import annotations

import random
from typing import TypeVar

import pytest

from hil.lab.locks.choice import choose
from tests.no_hardware.suite.xdist.simulated_run import SimulatedRun

NAMES = "abcd"
SECONDS = (0.0, 0.001, 0.05, 0.2, 1.0, 7.0)
QUICK_SEEDS = 400
SEEDS = 10_000
AT_ONCE = 1_000
BROKEN_ONCE = (1513, 2866, 3537, 4582, 5241, 5828)
"""Seeds of runs that broke the law before the schedule was mended."""

T = TypeVar("T")


class Dice:
    """Random parts of a suite; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing to keep secret
        self.one_of = self._random.choice
        self.number = self._random.randint

    def is_so(self, chance: float) -> bool:
        return self._random.random() < chance

    def boards(self, least: int = 0, most: int = len(NAMES)) -> frozenset[str]:
        return frozenset(self._random.sample(NAMES, self.number(least, most)))

    def some(self, values: list[T], most: int) -> list[T]:
        return self._random.sample(values, min(len(values), self.number(0, most)))


def random_run(seed: int) -> SimulatedRun:
    dice = Dice(seed)
    tests = list(range(dice.number(0, 30)))
    with_board, with_partners, with_image, is_known = (dice.number(0, 10) / 10 for _ in range(4))
    wanted = [dice.boards(1) if dice.is_so(with_board) else frozenset() for _ in tests]
    partnered = {
        index: [dice.boards(dice.one_of((0, 2, 2))) for _ in range(dice.one_of((2, 2, 3)))]
        for index in tests
        if not wanted[index] and dice.is_so(with_partners)
    }
    images = {
        index: {board: dice.one_of(("", "x", "y", "z")) for board in NAMES}
        for index in (tests if dice.is_so(0.4) else ())
        if dice.is_so(with_image)
    }
    return SimulatedRun(
        [dice.one_of(SECONDS) for _ in tests],
        wanted,
        NAMES[: dice.number(0, 4)],
        dice.number(1, 6),
        {index: dice.one_of(SECONDS) for index in tests if dice.is_so(is_known)},
        crashes=frozenset(dice.some(tests, 4) if dice.is_so(0.5) else ()),
        loses={index: dice.one_of(NAMES) for index in dice.some(tests, 3)} if dice.is_so(0.4) else {},
        unusable=dice.boards(0, 2) if dice.is_so(0.4) else frozenset(),
        busy={one: dice.one_of((0.5, 20.0, 1000.0)) for one in dice.boards(0, 3)} if dice.is_so(0.5) else {},
        partnered=partnered,
        images=images,
        flash_s=dice.one_of((0.0, 2.0)),
        setup_s=dice.one_of((0.0, 0.5)),
        far=dice.is_so(0.2),
    )


def judge(seed: int) -> None:
    run = random_run(seed)
    run.run()

    assert sorted(index for _, index, _ in run.ran) == list(range(len(run.seconds))), f"seed {seed}"
    gone = run.unusable | set(run.loses.values()) | set(run.given_back if run.crashed else ())
    usable = set(run.boards) - gone
    for _, index, board in run.ran:
        choices = run.partnered.get(index) or ([run.wanted[index]] if run.wanted[index] else [])
        together = run.together.get(index, ())
        assert (board is None) == (not together), f"seed {seed}: test {index}"
        assert len(set(together)) == len(together), f"seed {seed}: test {index}"
        fit = all(one in some for one, some in zip(together, choices, strict=bool(together)))
        assert fit, f"seed {seed}: test {index}"
        could = choices and choose([sorted(some) for some in choices], usable)
        assert together or not could or index in run.by_themselves, f"seed {seed}: test {index} has no board"


def test_schedule_holds_its_law_for_random_runs() -> None:
    for seed in (*range(QUICK_SEEDS), *BROKEN_ONCE):
        judge(seed)


@pytest.mark.thorough
@pytest.mark.seeds
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_schedule_holds_its_law_for_thousands_of_random_runs(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        judge(seed)
