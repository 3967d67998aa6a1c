"""The matrix of tests and nights on the first page: a row for each test, and the nights above the rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.history.schema import AttemptOutcome
from hil.history.suspects import count_of
from hil.report.filters import OUTCOMES, night

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hil.evidence.records import RunRecord
    from hil.history.matrix_data import MatrixCell

__all__ = [
    "CODES",
    "NONE",
    "NOT_RUN",
    "Matrix",
    "Night",
    "Row",
    "Section",
    "build_matrix",
    "outcome_letter",
    "outcome_letters",
    "sparkline",
]

NOT_RUN = "."
CODES = {
    "p": "passed",
    "f": "failed",
    "e": "error",
    "k": "flaky",
    "s": "skipped",
    "x": "xfailed",
    "X": "xpassed",
}
"""A letter for each outcome; the page's script has the same table."""

_LETTERS = {
    AttemptOutcome.PASSED: "p",
    AttemptOutcome.FAILED: "f",
    AttemptOutcome.ERROR: "e",
    AttemptOutcome.SKIPPED: "s",
    AttemptOutcome.XFAILED: "x",
    AttemptOutcome.XPASSED: "X",
}
NONE = "-"
_NIGHT_WIDTH = 28
"""Maximum width of a night in pixels; many nights share the width of the page."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def outcome_letter(cell: MatrixCell) -> str:
    """Return the letter of a test's outcome in a run."""
    return "k" if cell.is_flaky else _LETTERS[AttemptOutcome(cell.outcome)]


def outcome_letters(cells: Mapping[int, MatrixCell], runs: int) -> str:
    """Return the letter of each run, `NOT_RUN` for a run without the test."""
    return "".join(outcome_letter(cells[run]) if run in cells else NOT_RUN for run in range(runs))


def board_digits(cells: Mapping[int, MatrixCell], runs: int, numbers: Mapping[int, int]) -> str:
    """Return a digit (base 36) for the board of each run; empty if no run had one."""
    digits = [numbers.get(cells[run].bench) if run in cells else None for run in range(runs)]
    if all(digit is None for digit in digits):
        return ""
    return "".join(NONE if digit is None or digit >= len(_DIGITS) else _DIGITS[digit] for digit in digits)


def sparkline(letters: str) -> Markup:
    """Return a test's strip: one path for each outcome, which the page's style divides into nights.

    One cell for each night would load slowly: a page has thousands.
    """
    paths: dict[str, list[str]] = {}
    at = 0
    for letter, group in groupby(letters):
        length = sum(1 for _ in group)
        if letter != NOT_RUN:
            paths.setdefault(letter, []).append(f"M{at} 10h{length}")
        at += length
    drawn = "".join(f'<path class="o-{CODES[letter]}" d="{"".join(d)}"/>' for letter, d in paths.items())
    size = f'width="{_NIGHT_WIDTH * len(letters)}" viewBox="0 0 {len(letters)} 20"'
    return Markup(  # noqa: S704 - letters and numbers of ours
        f'<svg class="strip" {size} preserveAspectRatio="none" role="img" '
        f'aria-label="{tally(letters)}">{drawn}</svg>'
    )


def tally(letters: Iterable[str]) -> str:
    """Return the number of runs with each outcome, in words."""
    text = "".join(letters)
    counted = {name: text.count(letter) for letter, name in CODES.items()}
    return ", ".join(count_of(number, name) for name, number in counted.items() if number) or "never run"


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

    run: RunRecord
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
    runs: Sequence[RunRecord],
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


def _nights(rows: Sequence[Row], runs: Sequence[RunRecord], folders: Mapping[str, str]) -> Iterator[Night]:
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
