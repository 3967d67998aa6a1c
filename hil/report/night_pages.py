"""Write the pages about all nights: highlights, the matrix of tests and nights, pages of tests and boards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.evidence.run_folder import refuse_foreign_report
from hil.history.analysis import analyze
from hil.history.matrix_data import MatrixQueries
from hil.report.filters import board_file, when
from hil.report.highlights import count_failing, headline, highlight_groups, named_tests
from hil.report.matrix import build_matrix
from hil.report.numbers import view_numbers, write_numbers
from hil.report.page_of_test_over_nights import PagesOfTestsOverNights
from hil.report.pages import write_page
from hil.report.run_pages import find_run_folders, link_to

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from hil.history.analysis import Analysis
    from hil.history.matrix_data import BoardInRun
    from hil.history.window import Window
    from hil.report.matrix import Matrix

__all__ = ["BuiltPages", "build_nights"]

_MOST_TESTS = 500
_MOST_LOUD = 40
_MOST_FAILURES = 20
_KINDS = [
    ("failing", "failing now"),
    ("failed", "failed on any night"),
    ("flaky", "flaky on any night"),
    ("skipped", "skipped now"),
]


@dataclass(slots=True)
class BuiltPages:
    """The pages that were written.

    Attributes:
        page: Path of the first page.
        runs: Number of runs that it shows.
        tests: Number of tests that it shows.
        kept: Number of runs that have pages of their own.
        headline: The analysis in a few words.
        trouble: What could not be written.
    """

    page: Path
    runs: int
    tests: int
    kept: int
    headline: str
    trouble: list[str] = field(default_factory=list)


def build_nights(
    window: Window, out: Path, folders: Iterable[Path] = (), *, simulated: bool = False
) -> BuiltPages:
    """Write the pages of a history's newest nights.

    Args:
        window: The nights.
        out: The folder for the pages.
        folders: Folders of nights; their own pages are linked, and written if they are missing.
        simulated: Whether the newest night was to use simulated boards, even if no test had one.

    Raises:
        HistoryError: The history cannot be read.
        UsageError: The folder has files of these names that hil did not write.
        OSError: A page cannot be written.
    """
    refuse_foreign_report(out)
    trouble: list[str] = []
    analysis = analyze(window)
    title = f"SIMULATED: {headline(analysis)}" if simulated or analysis.simulated else headline(analysis)
    numbers = view_numbers(window, analysis.drifted)
    groups = highlight_groups(analysis, numbers)
    kept = find_run_folders(folders, [run.key for run in window.runs], trouble)
    links = {key: link_to(folder, out) for key, folder in kept.items()}
    queries = MatrixQueries(window)
    cells = queries.cells()
    matrix = build_matrix(cells, window.runs, queries.benches(), links)
    pages = PagesOfTestsOverNights(queries, window.runs, kept, out, numbers)
    named = [*named_tests(groups), *numbers.tests]
    newest = {test: pages.write(test) for test in _worth_a_page(matrix, named) if test in cells}
    boards = _write_boards(
        queries, matrix, out, newest.keys(), {one.value: str(one) for one in analysis.boards}
    )
    write_page(
        out,
        "index.html",
        "nights.html.j2",
        analysis=analysis,
        headline=title,
        groups=groups,
        newest=newest,
        errors={row.nodeid for section in matrix.sections for row in section.rows if row.letters[-1:] == "e"},
        matrix=matrix,
        links=links,
        boards=boards,
        kinds=_KINDS,
        most=_MOST_LOUD,
        trouble=trouble,
        numbers=bool(numbers.views),
        counted_apart=any(one.everywhere for one in analysis.failures) or bool(analysis.images),
    )
    if numbers.views:
        write_numbers(numbers, out)
    _write_wall(out, title, analysis, matrix, boards)
    return BuiltPages(out / "index.html", len(window.runs), matrix.tests, len(kept), title, trouble)


def _write_wall(
    out: Path, title: str, analysis: Analysis, matrix: Matrix, boards: list[dict[str, object]]
) -> None:
    """Write the page for a wall screen: the number of failing tests in large type, and the boards.

    If none fails, the number is that of flaky tests, in their colour.

    Simulated boards of earlier nights are left out: each night starts new ones.
    """
    number = count_failing(analysis) + len(analysis.no_board)
    flaky = analysis.last.get("flaky", 0)
    is_calm = not (number or flaky or analysis.nights or analysis.not_run) and bool(analysis.runs)
    write_page(
        out,
        "wall.html",
        "wall.html.j2",
        headline=title,
        number=number or flaky if analysis.runs and not analysis.nothing_ran else "-",
        colour="o-failed" if number else "o-passed" if is_calm else "o-flaky" if flaky else "o-cut",
        newest=matrix.nights[-1] if matrix.nights else None,
        boards=[board for board in boards if board["in_newest"] or not board["is_simulated"]],
    )


def _in_newest(row: BoardInRun, newest: int) -> dict[str, object]:
    """Return the counts of a board's tests in the newest night."""
    there = row.run == newest
    return {
        "in_newest": there,
        "newest_ran": row.ran if there else 0,
        "newest_failed": row.failed if there else 0,
        "newest_flaky": row.flaky if there else 0,
    }


def _worth_a_page(matrix: Matrix, named: list[str]) -> list[str]:
    """Return the tests that get a page: those that are named, then those that failed most often."""
    rows = sorted((row for section in matrix.sections for row in section.rows), key=lambda row: -row.bad)
    failed = [row.nodeid for row in rows if row.bad or "k" in row.letters]
    return list(dict.fromkeys([*named, *failed]))[:_MOST_TESTS]


def _write_boards(
    queries: MatrixQueries, matrix: Matrix, out: Path, has_page: Collection[str], blamed: Mapping[str, str]
) -> list[dict[str, object]]:
    """Write a page for each board, and return the boards' rows for the first page.

    Args:
        queries: The queries over the history.
        matrix: The matrix with the nights.
        out: The folder for the pages.
        has_page: Tests that have a page.
        blamed: For each board that fails tests, the finding about it.
    """
    said: list[dict[str, object]] = []
    for serial, rows in queries.boards().items():
        board = {
            "serial": serial,
            "label": queries.labels[serial],
            "ran": sum(row.ran for row in rows),
            "failed": sum(row.failed for row in rows),
            "flaky": sum(row.flaky for row in rows),
            "used_s": sum(row.used_s for row in rows),
            "nights": len(rows),
            "last": when(matrix.nights[rows[-1].run].run.began_s),
            "blamed": serial in blamed,
            "is_simulated": rows[-1].is_simulated,
            **_in_newest(rows[-1], len(matrix.nights) - 1),
        }
        said.append(board)
        write_page(
            out,
            f"boards/{board_file(serial)}.html",
            "board_nights.html.j2",
            board=board,
            blamed=blamed.get(serial, ""),
            rows=[(matrix.nights[row.run], row) for row in reversed(rows)],
            failures=queries.failures_on(serial, _MOST_FAILURES),
            has_page=has_page,
            most_used_s=max(row.used_s for row in rows) or 1.0,
        )
    return said
