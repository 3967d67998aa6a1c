"""The matrix of tests and nights on the first page: a row for each test, and the nights above the rows."""

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
"""Letters of the outcomes in the order in which a column stacks them, from the top."""


@dataclass(frozen=True, slots=True)
class Row:
    """One test.

    Attributes:
        nodeid: Its node id.
        name: Its name within its file.
        letters: The letter of its outcome in each run.
        boards: The digit of its board in each run; empty if it never had one.
        kinds: The page's filters that select it.
        strip: The drawn outcomes.
    """

    nodeid: str
    name: str
    letters: str
    boards: str
    kinds: str
    strip: Markup

    @property
    def bad(self) -> int:
        """In how many runs it failed."""
        return sum(letter in "fe" for letter in self.letters)

    @property
    def ran(self) -> int:
        """In how many runs it ran."""
        return sum(letter not in ".s" for letter in self.letters)


@dataclass(frozen=True, slots=True)
class Section:
    """Tests of one file; a large file has several sections, since a browser lays out small ones faster."""

    file: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Night:
    """A run above the matrix.

    Attributes:
        run: The run.
        when: Its start.
        text: Its start and outcomes in words.
        parts: Class, y and height of each outcome in its column.
        folder: The link to its pages; empty if it has none.
    """

    run: RunFacts
    when: str
    text: str
    parts: list[tuple[str, float, float]]
    folder: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """The matrix.

    Attributes:
        sections: The tests, by file.
        nights: The runs, oldest first.
        boards: Serial numbers; the rows' digits are positions in this list.
    """

    sections: list[Section]
    nights: list[Night]
    boards: list[str]

    @property
    def newest(self) -> dict[str, int]:
        """Number of tests of the newest night by outcome, failures first."""
        letters = "".join(row.letters[-1:] for section in self.sections for row in section.rows)
        counted = {CODES[letter]: letters.count(letter) for letter in CODES}
        return {outcome: counted[outcome] for outcome in OUTCOMES if counted.get(outcome)}

    @property
    def tests(self) -> int:
        """Number of tests."""
        return sum(len(section.rows) for section in self.sections)


def build_matrix(
    cells: Mapping[str, Mapping[int, MatrixCell]],
    runs: Sequence[RunFacts],
    benches: Mapping[int, str],
    folders: Mapping[str, str],
) -> Matrix:
    """Return the matrix.

    Args:
        cells: For each test its cells by run.
        runs: The runs, oldest first.
        benches: Serial numbers by bench number.
        folders: Links to the runs' pages, by the runs' keys.
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
    """Return the page's filters that select a test with these outcomes."""
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
    """Yield class, y and height of each outcome, stacked from the bottom; each has a visible height."""
    ground = _HEIGHT
    for letter in reversed(_LOUD):
        count = column.count(letter)
        if count:
            height = max(1.5, round(count / most * _HEIGHT, 1))
            ground = max(0.0, ground - height)
            yield f"o-{CODES[letter]}", round(ground, 1), height
