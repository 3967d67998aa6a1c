"""Tests by nights: what the first page's matrix shows, row by row, and the nights above it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from hil.report.filters import OUTCOMES, night
from hil.report.sparkline import CODES, board_digits, outcome_letters, sparkline, tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup

    from hil.history.matrix_data import MatrixCell
    from hil.history.models import RunFacts

__all__ = ["Matrix", "Night", "Row", "Section", "build_matrix"]

_ROWS_AT_ONCE = 100
_HEIGHT = 60.0
_LOUD = "fekXxsp"
"""In which order outcomes are stacked, from the top."""


@dataclass(frozen=True, slots=True)
class Row:
    """One test: its name within its file, a letter and a digit for each night, and what to find it by."""

    nodeid: str
    name: str
    letters: str
    boards: str
    kinds: str
    strip: Markup

    @property
    def bad(self) -> int:
        """How many runs failed."""
        return sum(letter in "fe" for letter in self.letters)

    @property
    def ran(self) -> int:
        """How many runs had it and did not skip it."""
        return sum(letter not in ".s" for letter in self.letters)


@dataclass(frozen=True, slots=True)
class Section:
    """Tests of one file, as many as a browser should lay out at once."""

    file: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Night:
    """A run above the matrix: when, what became of its tests, its parts of a column, where its pages are."""

    run: RunFacts
    when: str
    text: str
    parts: list[tuple[str, float, float]]
    folder: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """All of it; `boards` are the serial numbers behind the rows' digits."""

    sections: list[Section]
    nights: list[Night]
    boards: list[str]

    @property
    def newest(self) -> dict[str, int]:
        """Tests of the newest night by what became of them, the loud ones first."""
        letters = "".join(row.letters[-1:] for section in self.sections for row in section.rows)
        counted = {CODES[letter]: letters.count(letter) for letter in CODES}
        return {outcome: counted[outcome] for outcome in OUTCOMES if counted.get(outcome)}

    @property
    def tests(self) -> int:
        """How many tests there are."""
        return sum(len(section.rows) for section in self.sections)


def build_matrix(
    cells: Mapping[str, Mapping[int, MatrixCell]],
    runs: Sequence[RunFacts],
    benches: Mapping[int, str],
    folders: Mapping[str, str],
) -> Matrix:
    """Put rows and nights together.

    Args:
        cells: For each test the runs that had it.
        runs: The runs, oldest first.
        benches: Serial numbers by the cells' number.
        folders: Where a run's pages are, as a link, by the run's key.
    """
    boards = sorted({serial for serial in benches.values() if serial})
    digits = {bench: boards.index(serial) for bench, serial in benches.items() if serial}
    rows = [_row(nodeid, of_it, len(runs), digits) for nodeid, of_it in sorted(cells.items())]
    return Matrix(list(_sections(rows)), list(_nights(rows, runs, folders)), boards)


def _row(nodeid: str, cells: Mapping[int, MatrixCell], runs: int, digits: Mapping[int, int]) -> Row:
    letters = outcome_letters(cells, runs)
    name = nodeid.partition("::")[2] or nodeid
    return Row(nodeid, name, letters, board_digits(cells, runs, digits), _kinds(letters), sparkline(letters))


def _kinds(letters: str) -> str:
    """Return by which choices of the page it is found."""
    newest = letters[-1:]
    kinds = {
        "failing": newest in "fe" and bool(newest),
        "failed": "f" in letters or "e" in letters,
        "flaky": "k" in letters,
        "skipped": newest == "s",
    }
    return " ".join(kind for kind, holds in kinds.items() if holds)


def _sections(rows: Sequence[Row]) -> Iterator[Section]:
    for file, of_file in groupby(rows, key=lambda row: row.nodeid.partition("::")[0]):
        tests = list(of_file)
        for first in range(0, len(tests), _ROWS_AT_ONCE):
            yield Section(file, tests[first : first + _ROWS_AT_ONCE])


def _nights(rows: Sequence[Row], runs: Sequence[RunFacts], folders: Mapping[str, str]) -> Iterator[Night]:
    columns = ["".join(column) for column in zip(*(row.letters for row in rows), strict=True)]
    columns = columns or ["" for _ in runs]
    most = max((len(column.replace(".", "")) for column in columns), default=0) or 1
    for run, column in zip(runs, columns, strict=True):
        text = f"{night(run.began_s)}: {tally(column)}" + ("" if run.ended_s else ", cut short")
        parts = list(_parts(column, most))
        yield Night(run, night(run.began_s), text, parts, folders.get(run.key, ""))


def _parts(column: str, most: int) -> Iterator[tuple[str, float, float]]:
    """Give class, y and height of each outcome, stacked on the ground; what is there is never invisible."""
    ground = _HEIGHT
    for letter in reversed(_LOUD):
        count = column.count(letter)
        if count:
            height = max(1.5, round(count / most * _HEIGHT, 1))
            ground = max(0.0, ground - height)
            yield f"o-{CODES[letter]}", round(ground, 1), height
