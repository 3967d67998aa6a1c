"""The line of the summary about images."""

from __future__ import annotations

from collections import Counter

import pytest

from hil.suite.outcome.ledger import Ledger
from hil.suite.outcome.ledger_report import flash_lines

pytestmark = pytest.mark.no_hardware


def test_flash_lines_tell_what_was_planned_and_done() -> None:
    ledger = Ledger(flashes=Counter(planned=4, done=3, written=2))

    assert flash_lines(ledger) == [
        "images: 4 planned, 3 put on boards: 2 written, 1 was on the stick already"
    ]


def test_flash_lines_tell_of_flashes_that_were_not_planned() -> None:
    ledger = Ledger(flashes=Counter(done=3, written=1))

    assert flash_lines(ledger) == [
        "images: 0 planned, 3 put on boards: 1 written, 2 were on the stick already"
    ]


def test_flash_lines_are_empty_for_a_run_without_images() -> None:
    assert flash_lines(Ledger()) == []
