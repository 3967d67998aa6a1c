"""What `hil history numbers` tells: the newest values of all numbers, or everything about some of them."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hil.errors import HistoryError
from hil.evidence.measurement import Measurement, format_quantity
from hil.history.nights import day_of
from hil.history.numbers.drift import drifts_of, find_drifts
from hil.history.numbers.series import count_numbers, read_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.history.numbers.series import NumberPoint, NumberSeries
    from hil.history.window import Window

__all__ = ["all_numbers", "numbers_like"]

_NEWEST_RUNS = 10
_MOST_SERIES = 20
_SHOWN_POINTS = 20


@dataclass(frozen=True, slots=True)
class NewestNumber:
    """The newest value of a number.

    Attributes:
        test: Node id of its test.
        name: Its name.
        unit: Its unit.
        value: The newest value.
        below: The limit that it must be below, or None.
        above: The limit that it must be above, or None.
        board: Serial number of the board; empty if the test had none.
        mean: Mean of the newest ten runs.
        values: How many values these runs have.
    """

    test: str
    name: str
    unit: str
    value: float
    below: float | None
    above: float | None
    board: str
    mean: float
    values: int

    def __str__(self) -> str:
        newest = Measurement(self.name, self.value, self.unit, self.below, self.above)
        mean = f", mean {format_quantity(self.mean, self.unit)} of {self.values}" if self.values > 1 else ""
        board = f" on {self.board}" if self.board else ""
        return f"{self.test}: {newest}{mean}{board}{'  BROKEN' if newest.is_broken else ''}"


def all_numbers(window: Window) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers of the newest ten runs, and those that drifted, as data and as lines."""
    newest, drifted = _newest(window), find_drifts(window)
    older = count_numbers(window) - len(newest)
    lines = [*map(str, drifted), *map(str, newest)]
    if older:
        lines.append(f"{older} more {'was' if older == 1 else 'were'} measured in older runs alone")
    if not lines:
        lines.append("no test has measured a number: see the fixture measure in docs/numbers.md")
    data = {"drifted": [asdict(one) for one in drifted], "numbers": [asdict(one) for one in newest]}
    return data, lines


def _newest(window: Window) -> list[NewestNumber]:
    runs = window.numbers[-_NEWEST_RUNS:]
    if not runs:
        return []
    chosen = ",".join(f"({run},{position})" for position, run in enumerate(runs))
    boards = dict(window.query("SELECT id, board FROM bench"))
    rows = window.query(
        "SELECT nodeid, name, unit, value, below, above, bench_id, avg(value), count(*), "
        "max((chosen.column2 * 1000 + attempt) * 1000 + position) "  # the row whose value is told
        f"FROM measure CROSS JOIN (VALUES {chosen}) AS chosen "
        "JOIN number ON measure_id=measure.id AND run_id=chosen.column1 JOIN test ON test.id=test_id "
        f"WHERE {window.like_newest} GROUP BY measure.id"
    )
    found = [
        NewestNumber(test, name, unit, value, below, above, boards[bench], mean, count)
        for test, name, unit, value, below, above, bench, mean, count, _ in rows
    ]
    return sorted(found, key=lambda one: (one.test, one.name, one.unit))


def numbers_like(window: Window, text: str, board: str = "") -> tuple[list[dict[str, Any]], list[str]]:
    """Return everything about some numbers, as data and as lines.

    Args:
        window: The runs.
        text: The name of a number; else a part of its name, or of its test's node id.
        board: Serial number of a board, for its values alone; empty for all.

    Raises:
        HistoryError: There is no such number, or there are too many.
    """
    names = window.query("SELECT measure.id, name, nodeid FROM measure JOIN test ON test.id=test_id")
    exact = [number for number, name, _ in names if name == text]
    like = exact or [number for number, name, test in names if text in name or text in test]
    found = read_series(window, like) if like else []
    if len(found) > _MOST_SERIES:
        some = ", ".join(dict.fromkeys(series.name for series in found[:_MOST_SERIES]))
        raise HistoryError(
            f"{len(found)} numbers are like {text!r}", why=some, remedy="give more of the name"
        )
    if board:
        for series in found:
            series.points = [point for point in series.points if point.board == board]
    found = [series for series in found if series.points]
    if not found:
        known = ", ".join(sorted({name for _, name, _ in names})[:_MOST_SERIES]) or "none"
        where = f" on board {board}" if board else ""
        raise HistoryError(
            f"no number{where} is called {text!r} in these nights",
            why=f"there are {known}",
            remedy="hil history numbers, for all of them",
        )
    told = [(_data(window, series), list(_lines(window, series))) for series in found]
    return [data for data, _ in told], [line for _, lines in told for line in lines]


def _data(window: Window, series: NumberSeries) -> dict[str, Any]:
    return {
        "test": series.test,
        "name": series.name,
        "unit": series.unit,
        "drifted": [asdict(one) for one in drifts_of(series, window.runs)],
        "points": [
            {
                **asdict(point),
                "run": window.runs[point.run].key,
                "began_s": window.runs[point.run].began_s,
                "commit": window.runs[point.run].commit,
            }
            for point in series.points
        ],
    }


def _lines(window: Window, series: NumberSeries) -> Iterator[str]:
    nights = len({point.run for point in series.points})
    yield f"{series.test}: {series.name}, in {nights} of {len(window.runs)} runs"
    drifted = [str(one).removeprefix(f"{one.test}: ") for one in drifts_of(series, window.runs)]
    yield from drifted or ["it did not drift"]
    for board in series.boards:
        values = [point.value for point in series.points if point.board == board]
        low, middle, high = (
            format_quantity(value, series.unit)
            for value in (min(values), statistics.median(values), max(values))
        )
        where = f"on {board}" if board else "without a board"
        yield f"{where}: {low} to {high}, median {middle}, of {len(values)}"
    for point in series.points[-_SHOWN_POINTS:]:
        yield _line(window, series, point)


def _line(window: Window, series: NumberSeries, point: NumberPoint) -> str:
    run = window.runs[point.run]
    made = Measurement(series.name, point.value, series.unit, point.below, point.above)
    words = (
        day_of(run.began_s),
        format_quantity(point.value, series.unit),
        f"(must be {made.limits})" if made.limits else "",
        "BROKEN" if made.is_broken else "",
        point.board,
        point.image,
        run.commit[:10],
    )
    return "  ".join(filter(None, words))
