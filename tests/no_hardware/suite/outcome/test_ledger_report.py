"""The line of the summary about images."""

from __future__ import annotations

from collections import Counter

import pytest

from hil.suite.markers import Kind
from hil.suite.outcome.ledger import Ledger, LedgerEntry
from hil.suite.outcome.ledger_report import error_lines, flash_lines

pytestmark = pytest.mark.no_hardware


def test_flash_lines_tell_what_was_planned_and_done() -> None:
    ledger = Ledger(flashes=Counter(planned=4, certain=4, done=3, written=2))

    assert flash_lines(ledger) == ["images: 4 flashes planned, 3 done: 2 written, 1 was on the stick already"]


def test_flash_lines_say_at_most_if_tests_may_run_on_any_of_several_boards() -> None:
    ledger = Ledger(flashes=Counter(planned=4, certain=2, done=4, written=4))

    assert flash_lines(ledger) == [
        "images: at most 4 flashes planned, 4 done: 4 written, 0 were on the stick already"
    ]


def test_flashes_that_each_worker_has_planned_are_counted_once() -> None:
    ledger = Ledger(flashes=Counter(planned=4, certain=3, done=2, written=2))

    ledger.take_over(Ledger(flashes=Counter(planned=4, certain=3, done=2, written=1)).as_data())

    assert ledger.flashes == Counter(planned=4, certain=3, done=4, written=3)


def test_flash_lines_tell_of_flashes_that_were_not_planned() -> None:
    ledger = Ledger(flashes=Counter(done=3, written=1))

    assert flash_lines(ledger) == [
        "images: 0 flashes planned, 3 done: 1 written, 2 were on the stick already"
    ]


def test_flash_lines_are_empty_for_a_run_without_images() -> None:
    assert flash_lines(Ledger()) == []


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (0, []),
        (1, ["1 failed in set-up or tear-down: pytest counts it as an error"]),
        (2, ["2 failed in set-up or tear-down: pytest counts them as errors"]),
    ],
)
def test_error_lines_say_why_pytest_counts_fewer_failed_tests(errors: int, said: list[str]) -> None:
    ledger = Ledger(records={"failed": LedgerEntry(Kind.HARDWARE, ran=True, failed=True)})
    for number in range(errors):
        ledger.records[f"test_{number}"] = LedgerEntry(Kind.HARDWARE, failed=True, error=True)

    assert error_lines(ledger) == said
