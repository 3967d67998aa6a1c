"""The page of one test over the nights: each attempt with its board, duration and message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.evidence.records import file_stem
from hil.history.nights import day_of
from hil.report.filters import when
from hil.report.pages import write_page
from hil.report.run_pages import link_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hil.evidence.records import RecordedAttempt, RecordedTest, RunRecord
    from hil.history.matrix_data import MatrixQueries
    from hil.report.numbers import NumbersPage

__all__ = ["PagesOfTestsOverNights"]

_WIDTH, _HEIGHT = 800, 150


@dataclass(frozen=True, slots=True)
class _Row:
    """An attempt with its night, and the link to its page in that night's report."""

    when: Markup
    commit: str
    attempt: RecordedAttempt
    link: str
    boards: str
    image: str


class PagesOfTestsOverNights:
    """Writes the pages of tests.

    Args:
        queries: The queries over the history.
        runs: The runs, oldest first.
        folders: Evidence folders of runs, by key.
        out: The folder of all pages.
        numbers: The numbers of tests.
    """

    def __init__(
        self,
        queries: MatrixQueries,
        runs: Sequence[RunRecord],
        kept: Mapping[str, Path],
        out: Path,
        numbers: NumbersPage,
    ) -> None:
        self._numbers = numbers
        self._queries = queries
        self._runs = runs
        self._kept = kept
        self._out = out

    def write(self, test: str) -> str:
        """Write the page of a test, and return the message of its newest failure, with its board."""
        attempts = self._queries.attempts(test)
        rows = [self._row(*one) for one in reversed(attempts)]
        write_page(
            self._out,
            f"tests/{file_stem(test)}.html",
            "test_over_nights.html.j2",
            test=test,
            rows=rows,
            chart=_chart(attempts, self._runs),
            numbers=self._numbers.of_test(test),
        )
        newest = next((one for one in rows if one.attempt.outcome in {"failed", "error"}), None)
        if newest is None:
            return ""
        return f"on {newest.boards}: {newest.attempt.message}" if newest.boards else newest.attempt.message

    def _row(self, at: int, test: RecordedTest) -> _Row:
        run = self._runs[at]
        folder = self._kept.get(run.key)
        page = f"tests/{file_stem(test.nodeid)}.html"
        is_kept = folder is not None and (folder / page).is_file()
        link = f"{link_to(folder, self._out / 'tests')}/{page}" if folder is not None and is_kept else ""
        boards = " + ".join(self._queries.label_of(board) for board in test.boards)
        return _Row(
            when(run.began_s), run.commit[:10], test.last, link, boards, test.image.partition(" (")[0]
        )


def _chart(attempts: Sequence[tuple[int, RecordedTest]], runs: Sequence[RunRecord]) -> Markup | None:
    """Return a chart of the durations with a dot for each attempt that ran, or None if fewer than two did."""
    ran = [(at, one.outcome, one.last.body_s) for at, one in attempts if one.outcome != "skipped"]
    most_s = max((took_s for *_, took_s in ran), default=0.0)
    if len(ran) < 2 or most_s <= 0:  # noqa: PLR2004 - one dot is no chart
        return None
    dots = "".join(
        f'<circle class="o-{outcome} fill" cx="{_x(at, len(runs))}" '
        f'cy="{_y(took_s / most_s)}" r="3.5"><title>{day_of(runs[at].began_s)}: '
        f"{outcome}, {took_s:.3g} s</title></circle>"
        for at, outcome, took_s in ran
    )
    lines = "".join(
        f'<path class="grid" d="M60 {_y(share)}H790"/>'
        f'<text x="54" y="{_y(share) + 4}" text-anchor="end">{share * most_s:.3g} s</text>'
        for share in (0.0, 0.5, 1.0)
    )
    nights = "".join(
        f'<text x="{_x(at, len(runs))}" y="{_HEIGHT - 6}" text-anchor="{anchor}">'
        f"{day_of(runs[at].began_s)}</text>"
        for at, anchor in ((0, "start"), (len(runs) - 1, "end"))
    )
    return Markup(  # noqa: S704 - numbers, dates and outcomes
        f'<svg class="power" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Seconds by night">'
        f"{lines}{nights}{dots}</svg>"
    )


def _x(run: int, runs: int) -> float:
    return round(68 + run / max(1, runs - 1) * 714, 1)


def _y(share: float) -> float:
    return round(_HEIGHT - 30 - share * (_HEIGHT - 46), 1)
