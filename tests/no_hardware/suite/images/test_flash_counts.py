"""The counts of images that are put on boards, and their line in the summary."""

from __future__ import annotations

import pytest

from hil.suite.images.flash_counts import FlashCounts
from hil.suite.outcome.ledger import Ledger

pytestmark = pytest.mark.no_hardware


def _counts(*puts: tuple[str, str, bool], planned: int = 0, certain: int = 0) -> FlashCounts:
    counts = FlashCounts(planned, certain)
    for board, image, was_written in puts:
        counts.put(board, image, was_written=was_written)
    return counts


def test_flash_counts_tell_what_was_planned_and_done() -> None:
    counts = _counts(("1", "a", True), ("2", "a", True), ("1", "b", False), planned=4, certain=4)

    assert counts.lines() == ["images: 4 flashes planned, 3 done: 2 written, 1 was on the stick already"]


def test_flash_counts_say_at_most_if_tests_may_run_on_any_of_several_boards() -> None:
    counts = _counts(("1", "a", True), planned=2, certain=1)

    assert counts.lines() == [
        "images: at most 2 flashes planned, 1 done: 1 written, 0 were on the stick already"
    ]


def test_flash_counts_count_an_image_once_for_each_board() -> None:
    counts = _counts(("1", "a", True), ("1", "a", False), ("1", "a", True), planned=1, certain=1)

    [line] = counts.lines()
    assert line.startswith("images: 1 flash planned, 1 done: 1 written, 0 were on the stick already;")
    assert line.endswith("; later 1 proven again, 1 written again")


def test_flash_counts_of_workers_are_added_and_their_plans_are_not() -> None:
    ledger = Ledger(flashes=_counts(("1", "a", True), planned=4, certain=3))

    ledger.take_over(
        Ledger(flashes=_counts(("1", "a", False), ("2", "a", True), planned=4, certain=3)).as_data()
    )

    [line] = ledger.flashes.lines()
    assert line.startswith("images: at most 4 flashes planned, 2 done: 2 written, 0 were")
    assert line.endswith("; later 1 proven again")


def test_flash_counts_tell_of_flashes_that_were_not_planned() -> None:
    assert _counts(("1", "a", False), ("2", "a", False)).lines() == [
        "images: 0 flashes planned, 2 done: 0 written, 2 were on the stick already"
    ]


def test_flash_counts_have_no_line_for_a_run_without_images() -> None:
    assert FlashCounts().lines() == []
