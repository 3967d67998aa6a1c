"""The table of tests by boards and images of a run with `--hil-each`, and what its failures follow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.evidence.matrix_id import without_column
from hil.history.attribution import Counts, Suspicion, suspect, suspect_test
from hil.report.filters import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.evidence.records import RecordedTest

__all__ = ["BoardsRow", "TestsByBoards", "build_tests_by_boards"]


@dataclass(frozen=True, slots=True)
class BoardsRow:
    """A test on all boards.

    Attributes:
        nodeid: Its node id without the board.
        cells: The test on the board of each column; None if it does not run there.
    """

    nodeid: str
    cells: list[RecordedTest | None]

    @property
    def file(self) -> str:
        """Its file."""
        return self.nodeid.partition("::")[0]

    @property
    def name(self) -> str:
        """Its name within its file."""
        return self.nodeid.partition("::")[2] or self.nodeid

    @property
    def tests(self) -> list[RecordedTest]:
        """The test on the boards that it runs on."""
        return [cell for cell in self.cells if cell is not None]

    @property
    def outcomes(self) -> str:
        """The first words of its outcomes, for the page's filter."""
        return " ".join(sorted({cell.outcome.split()[0] for cell in self.tests}))


@dataclass(frozen=True, slots=True)
class BoardsColumn:
    """A board or a kind of board, and an image if tests run with several.

    Attributes:
        name: Their names in the ids of tests.
        counts: The counts of its tests that ran.
        others: Number of its tests that did not run to their end on it: skipped, or cut short.
    """

    name: str
    counts: Counts
    others: int

    def __str__(self) -> str:
        failed, ran = self.counts.failed, self.counts.ran
        words = [f"{failed} of {ran} failed" if failed else f"{ran} ran"] if ran else []
        words += [f"{self.others} did not run"] if self.others else []
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class TestsByBoards:
    """The table.

    Attributes:
        columns: The boards, kinds and images, by name.
        rows: The tests, those that need a look first.
        suspicions: What failures follow: a board, an image, or tests that fail everywhere.
    """

    __test__ = False

    columns: list[BoardsColumn]
    rows: list[BoardsRow]
    suspicions: list[Suspicion]

    @property
    def files(self) -> set[str]:
        """The files of the tests."""
        return {row.file for row in self.rows}

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """The outcomes in the table, as choices of the page's filter."""
        found = {cell.outcome for row in self.rows for cell in row.tests}
        return [(outcome.split()[0], outcome) for outcome in OUTCOMES if outcome in found]


def build_tests_by_boards(tests: Iterable[RecordedTest]) -> TestsByBoards | None:
    """Return the table of those tests that run on each board, or None if there are none."""
    table: dict[str, dict[str, RecordedTest]] = {}
    for test in tests:
        if test.column:
            table.setdefault(without_column(test.nodeid, test.column), {})[test.column] = test
    if not table:
        return None
    names = sorted({column for of_test in table.values() for column in of_test}, key=_natural)
    rows = [BoardsRow(name, [of_test.get(column) for column in names]) for name, of_test in table.items()]
    rows.sort(key=lambda row: -sum(cell.needs_attention for cell in row.tests))
    columns = [
        _column(name, [cell for cell in cells if cell is not None])
        for name, *cells in zip(names, *(row.cells for row in rows), strict=True)
    ]
    return TestsByBoards(columns, rows, _suspicions(columns, rows))


def _column(name: str, tests: Sequence[RecordedTest]) -> BoardsColumn:
    counts = _counts(tests)
    return BoardsColumn(name, counts, len(tests) - counts.ran)


def _suspicions(columns: Sequence[BoardsColumn], rows: Sequence[BoardsRow]) -> list[Suspicion]:
    everything = sum((column.counts for column in columns), Counts())
    found = list(filter(None, [suspect(_factors([test for row in rows for test in row.tests]))]))
    for row in rows:
        here = _counts(row.tests)
        suspicion = suspect_test(row.nodeid, here, everything) if here.failed else None
        found += [suspicion] if suspicion is not None else []
    return found


def _factors(tests: Iterable[RecordedTest]) -> dict[str, dict[str, Counts]]:
    """Return the counts by board and, if each test has an image in its node id, by image."""
    factors: dict[str, dict[str, Counts]] = {"board": {}, "image": {}}
    for test in tests:
        board = test.column.removesuffix(test.image_label).removesuffix("-")
        for counts, value in zip(factors.values(), (board, test.image_label), strict=True):
            counts[value] = counts.get(value, Counts()) + _counts([test])
    return {factor: counts for factor, counts in factors.items() if "" not in counts}


def _counts(tests: Iterable[RecordedTest]) -> Counts:
    """Return how many tests failed, of those that ran on a board."""
    ran = [test for test in tests if test.board is not None and test.outcome not in {"skipped", "cut short"}]
    return Counts(sum(test.outcome in {"failed", "error"} for test in ran), len(ran))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort jetson-10 after jetson-2."""
    return [(int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
