"""The law of flashes: no board gets one image twice, however tests with one and with two boards are mixed."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.suite.columns.column import PARAMETER, Column
from hil.suite.images.order_of_tests import put_in_order
from tests.no_hardware.suite.xdist.simulated_run import SimulatedRun

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.no_hardware
BOARDS = "abc"
EVERYWHERE = ("x", "y", "z")
PLACES = ((("a", "x"), ("b", "y"), ("c", "x")), (("a", "y"), ("b", "y"), ("c", "x")))
"""What `--hil-image a=x --hil-image b=y` means for tests that take the image of their board."""


@dataclass(frozen=True)
class OneTest:
    """A test as the suite collects it.

    Attributes:
        kind: `each` for a test of one board, `any` for a test that any board can run, or `pair`.
        board: The board of a test of one.
        images: Boards, each with the image that the test has there; "": all other boards.
        seconds: How long it takes.
    """

    kind: str
    board: str
    images: tuple[tuple[str, str], ...]
    seconds: float

    def image_on(self, board: str) -> str:
        images = dict(self.images)
        return images.get(board) or images.get("", "")


@st.composite
def suites(draw: st.DrawFn) -> tuple[int, list[OneTest]]:
    """Return a number of boards, and tests in the order in which they stand in their file."""
    count = draw(st.integers(1, 3))
    of_places = draw(st.sampled_from(PLACES))
    tests: list[OneTest] = []
    for kind in draw(
        st.lists(st.sampled_from(["each", "any", "pair"] if count > 1 else ["each", "any"]), max_size=8)
    ):
        images: list[tuple[tuple[str, str], ...]] = [(("", image),) for image in EVERYWHERE]
        chosen = draw(st.sampled_from([images, images[:1], images[1:], [of_places[:count]]]))
        seconds = draw(st.sampled_from([0.001, 0.2, 1.0, 7.0]))
        for board in BOARDS[:count] if kind == "each" else [""]:
            tests += [OneTest(kind, board, one, seconds) for one in chosen]
    return count, tests


def collected(tests: Sequence[OneTest]) -> list[OneTest]:
    """Return tests in the order in which the suite runs them."""
    items: list[Any] = [
        SimpleNamespace(
            test=test,
            callspec=SimpleNamespace(params={PARAMETER: Column(test.board, frozenset(test.board))}),
        )
        for test in tests
    ]
    put_in_order(items, lambda item: item.test.images)  # type: ignore[attr-defined]
    return [item.test for item in items]


def flashes_of_one_process(count: int, tests: Sequence[OneTest]) -> list[tuple[str, str]]:
    """Return the flashes of a run without workers: a board that suits is kept, else the first is acquired."""
    held, flashes, on_board = ["a"], list[tuple[str, str]](), dict[str, str]()
    for test in tests:
        if test.kind == "pair":
            held = ["a", "b"]
        else:
            suits = [board for board in [*held, *BOARDS[:count]] if test.board in ("", board)]
            held = suits[:1]
        for board in held:
            if on_board.get(board) != test.image_on(board):
                on_board[board] = test.image_on(board)
                flashes.append((board, on_board[board]))
    return flashes


@settings(max_examples=200, deadline=None)
@given(suites())
def test_no_board_gets_an_image_twice_without_workers(suite: tuple[int, list[OneTest]]) -> None:
    count, tests = suite
    flashes = flashes_of_one_process(count, collected(tests))

    assert len(set(flashes)) == len(flashes)


@settings(max_examples=200, deadline=None)
@given(suites(), st.integers(1, 4))
def test_no_board_gets_an_image_twice_with_workers(suite: tuple[int, list[OneTest]], workers: int) -> None:
    count, tests = suite[0], collected(suite[1])
    names = BOARDS[:count]
    run = SimulatedRun(
        [test.seconds for test in tests],
        [frozenset() if test.kind == "pair" else frozenset(test.board or names) for test in tests],
        names,
        workers,
        partnered={
            at: (frozenset(names), frozenset(names)) for at, test in enumerate(tests) if test.kind == "pair"
        },
        images={at: {board: test.image_on(board) for board in names} for at, test in enumerate(tests)},
        flash_s=2.0,
    )
    run.run()

    assert len(set(run.flashes)) == len(run.flashes), run.flashes
    assert len(run.ran) == len(tests)
