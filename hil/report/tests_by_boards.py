"""The table of tests by boards and images of a run with `--hil-each`, and what its failures follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hil.evidence.records import without_column
from hil.evidence.used_board import natural_key
from hil.history.suspects import Counts, Everywhere, Suspicion, contrast, suspect, suspect_test
from hil.report.filters import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hil.evidence.records import RecordedTest

__all__ = ["BoardsRow", "TestsByBoards", "build_tests_by_boards"]


ANY_BOARD = ""
"""The board of tests whose id names none, and whose boards no other test names."""


@dataclass(frozen=True, slots=True)
class BoardsRow:
    """A test on all boards with all images.

    Attributes:
        nodeid: Its node id without board and image.
        cells: The test on the board and with the image of each column; None if it does not run there.
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
        """The test on the boards that it runs on; one with several boards once."""
        return list({cell.nodeid: cell for cell in self.cells if cell is not None}.values())

    @property
    def outcomes(self) -> str:
        """The first words of its outcomes, for the page's filter."""
        return " ".join(sorted({cell.outcome.split()[0] for cell in self.tests}))


@dataclass(frozen=True, slots=True)
class BoardsColumn:
    """A board or a kind of board, and an image if tests run with several.

    Attributes:
        board: The name of board or kind in the ids of tests; empty if they name none.
        image: The image in the ids of tests; empty if they name none.
        counts: The counts of its tests that ran.
        others: Number of its tests that did not run to their end on it: skipped, or cut short.
        serial: The board's serial number; empty for a kind of several boards.
    """

    board: str
    image: str
    counts: Counts
    others: int
    serial: str = ""

    @property
    def name(self) -> str:
        """The name of its board in the head of the table."""
        return self.board or ("any board" if self.image else "")

    @property
    def place(self) -> str:
        """Board and image in a sentence."""
        board = f"on {self.board}" if self.board else "on any board"
        return f"{board} with image {self.image}" if self.image else board

    def __str__(self) -> str:
        failed, ran = self.counts.failed, self.counts.ran
        words = [f"{failed} of {ran} failed" if failed else f"{ran} ran"] if ran else []
        words += [f"{self.others} did not run"] if self.others else []
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class TestsByBoards:
    """The table.

    Attributes:
        columns: The boards or kinds with each image, by image, then by name.
        rows: The tests, those that need a look first.
        suspicions: Tests that fail everywhere, then the board, image or test that other failures follow.
        hints: What the failures of a test may follow, if there are not enough runs to say: test and words.
    """

    __test__ = False

    columns: list[BoardsColumn]
    rows: list[BoardsRow]
    suspicions: list[Suspicion | Everywhere]
    hints: list[tuple[str, str]]

    @property
    def images(self) -> list[tuple[str, int]]:
        """Each image with the number of its columns; none if tests run with one image."""
        counted = Counter(column.image for column in self.columns)
        return list(counted.items()) if any(counted) else []

    @property
    def boards(self) -> int:
        """Number of boards or kinds."""
        return len({column.board for column in self.columns} - {ANY_BOARD})

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
    """Return the table of tests that run on each board or with each image, or None if there are none."""
    chosen = [test for test in tests if test.column]
    if not chosen:
        return None
    named = {test.board.serial: _board_in_id(test) for test in chosen if test.board and _board_in_id(test)}
    table: dict[str, dict[tuple[str, str], RecordedTest]] = {}
    for test in chosen:
        of_test = table.setdefault(without_column(test.nodeid, test.column), {})
        of_test |= {(test.image_label, board): test for board in _boards_of(test, named)}
    keys = sorted(
        {key for of_test in table.values() for key in of_test},
        key=lambda key: (natural_key(key[0]), key[1] == ANY_BOARD, natural_key(key[1])),
    )
    rows = [BoardsRow(name, [of_test.get(key) for key in keys]) for name, of_test in table.items()]
    rows.sort(key=lambda row: -sum(cell.needs_attention for cell in row.tests))
    serials = {name: {one for one, other in named.items() if other == name} for name in named.values()}
    columns = [
        _column(key, [cell for cell in cells if cell is not None], serials.get(key[1], set()))
        for key, *cells in zip(keys, *(row.cells for row in rows), strict=True)
    ]
    return TestsByBoards(columns, rows, *_suspicions(rows, named))


def _board_in_id(test: RecordedTest) -> str:
    """Return the board or kind in the id of a test; empty if it names none."""
    return test.column.removesuffix(test.image_label).removesuffix("-") if test.image_label else test.column


def _boards_of(test: RecordedTest, named: Mapping[str, str]) -> list[str]:
    """Return the columns of a test: the board in its id, else its boards, if other tests name them."""
    known = [named[board.serial] for board in test.boards if board.serial in named]
    return [_board_in_id(test)] if _board_in_id(test) else list(dict.fromkeys(known)) or [ANY_BOARD]


def _column(key: tuple[str, str], tests: Sequence[RecordedTest], serials: set[str]) -> BoardsColumn:
    counts, (image, board) = _counts(tests), key
    return BoardsColumn(
        board, image, counts, len(tests) - counts.ran, min(serials) if len(serials) == 1 else ""
    )


def _suspicions(
    rows: Sequence[BoardsRow], named: Mapping[str, str]
) -> tuple[list[Suspicion | Everywhere], list[tuple[str, str]]]:
    tests = [test for row in rows for test in row.tests]
    everything = _counts(tests)
    follows = suspect(_factors(tests, named), {"board": everything})
    everywhere: list[Suspicion | Everywhere] = []
    found: list[Suspicion | Everywhere] = [replace(follows, runs=1)] if follows is not None else []
    hints: list[tuple[str, str]] = []
    for row in rows:
        here = _counts(row.tests)
        suspicion = suspect_test(row.nodeid, here, everything) if here.failed else None
        fails_everywhere = _fails_everywhere(row)
        told = suspicion or fails_everywhere
        (everywhere if fails_everywhere else found).extend([told] if told is not None else [])
        is_told = follows is not None or told is not None
        hint = "" if is_told or not here.failed else contrast(_factors(row.tests, named), {"board": here})
        hints += [(row.nodeid, hint)] if hint else []
    return everywhere + found, hints


def _fails_everywhere(row: BoardsRow) -> Everywhere | None:
    """Return the finding about a test that ran on several boards or with several images, and never passed."""
    here = _counts(row.tests)
    ran = [test for test in row.tests if _counts([test]).ran]
    boards = {_board_in_id(test) for test in ran} - {""}
    images = {test.image_label for test in ran} - {""}
    if here.failed < here.ran or max(len(boards), len(images)) < 2:  # noqa: PLR2004 - one place is not everywhere
        return None
    return Everywhere(row.nodeid, len(boards), len(images))


def _factors(tests: Iterable[RecordedTest], named: Mapping[str, str]) -> dict[str, dict[str, Counts]]:
    """Return the counts by board and by image, of a factor that each test has."""
    factors: dict[str, dict[str, Counts]] = {"board": {}, "image": {}}
    for test in tests:
        for factor, values in (("board", _boards_of(test, named)), ("image", [test.image_label])):
            for value in values:
                factors[factor][value] = factors[factor].get(value, Counts()) + _counts([test])
    return {factor: counts for factor, counts in factors.items() if "" not in counts}


def _counts(tests: Iterable[RecordedTest]) -> Counts:
    """Return how many tests failed, of those that ran on a board."""
    ran = [test for test in tests if test.board is not None and test.outcome not in {"skipped", "cut short"}]
    return Counts(sum(test.outcome in {"failed", "error"} for test in ran), len(ran))
