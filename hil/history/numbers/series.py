"""Read the numbers of a window's runs as series: one for each number of a test, a point for each board."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hil.evidence.measurement import Measurement, breaks_limit, format_quantity
from hil.evidence.records import without_column
from hil.evidence.used_board import natural_key
from hil.history.numbers.image_lines import image_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hil.history.window import Window

__all__ = [
    "LineValues",
    "NumberBlock",
    "NumberLine",
    "NumberPoint",
    "NumberSeries",
    "changed_numbers",
    "count_numbers",
    "newest_blocks",
    "on_all_boards",
    "read_series",
]

_BLOCK_RUNS = 8
_MEASURES = "SELECT measure.id, nodeid, column_name, name, unit FROM measure JOIN test ON test.id=test_id"
_ROUNDING = 1e-12
_MARKED = 3.5
"""Standard errors by which the means of two blocks of runs differ if a number is worth a closer look."""


@dataclass(frozen=True, slots=True)
class NumberPoint:
    """What a test measured in one run on one board; the median, if it measured more than once.

    Attributes:
        run: Position of the run in the window.
        value: The number.
        board: Serial number of the board, or the place of a simulated one, whose serial number is new in
            each run; empty if the test had none.
        image: Image of the run, else the one that was flashed; empty if not known.
        below: The limit that it must be below, or None.
        above: The limit that it must be above, or None.
        test: The test's node id.
    """

    run: int
    value: float
    board: str = ""
    image: str = ""
    below: float | None = None
    above: float | None = None
    test: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether it breaks a limit."""
        return breaks_limit(self.value, self.below, self.above)


@dataclass(frozen=True, slots=True)
class LineValues:
    """The values of a number on one board with one image, in words.

    Attributes:
        test: Node id of the test that measured the newest one.
        newest: The newest value.
        median: Their median.
        low: The least.
        high: The greatest.
        count: How many there are.
    """

    test: str
    newest: str
    median: str
    low: str
    high: str
    count: int


@dataclass(frozen=True, slots=True)
class NumberLine:
    """The points of a number that are comparable: those on one board with one image.

    Attributes:
        board: The board; empty for points without a board.
        image: The image; empty if no images take turns, so that one replaces the other in the same line.
        points: The points, by run.
    """

    board: str
    image: str
    points: list[NumberPoint]

    @property
    def image_label(self) -> str:
        """The newest point's image and the number of others in the line; empty if no images take turns."""
        earlier = len({point.image for point in self.points}) - 1
        more = f" and {earlier} earlier" if earlier else ""
        return f"{self.points[-1].image}{more}" if self.image else ""

    def values(self, unit: str) -> LineValues:
        """Return the values in words."""
        values = [point.value for point in self.points]
        shown = (values[-1], statistics.median(values), min(values), max(values))
        newest, median, low, high = (format_quantity(value, unit) for value in shown)
        return LineValues(self.points[-1].test, newest, median, low, high, len(values))


@dataclass(slots=True)
class NumberSeries:
    """One number of a test over the runs.

    Attributes:
        test: The test's node id, without its column if it runs on each board or with each image.
        name: The number's name.
        unit: Its unit.
        points: Its points, by run.
        labels: How people know the boards of the points.
    """

    test: str
    name: str
    unit: str
    points: list[NumberPoint] = field(default_factory=list)
    labels: Mapping[str, str] = field(default_factory=dict)

    def label_of(self, board: str) -> str:
        """Return how people know a board."""
        return self.labels.get(board, board)

    @property
    def tests(self) -> list[str]:
        """The node ids of its points, each once."""
        return list(dict.fromkeys(point.test for point in self.points))

    @property
    def boards(self) -> list[str]:
        """The boards of its points, sorted; an empty name for points without a board."""
        return sorted({point.board for point in self.points})

    @property
    def lines(self) -> list[NumberLine]:
        """Its points by board and image, sorted."""
        newest_of = image_lines(self.points)
        are_apart = len(set(newest_of.values())) > 1
        found: dict[tuple[str, str], list[NumberPoint]] = defaultdict(list)
        for point in self.points:
            found[point.board, newest_of[point.image] if are_apart else ""].append(point)
        in_order = sorted(found, key=lambda key: [natural_key(self.label_of(key[0])), natural_key(key[1])])
        return [NumberLine(*key, found[key]) for key in in_order]

    def measurement(self, point: NumberPoint) -> Measurement:
        """Return one of the points with the number's name and unit."""
        return Measurement(self.name, point.value, self.unit, point.below, point.above)


def _on(window: Window, board: str) -> str:
    """Return an SQL condition for numbers on a board, or on any; its kind must be that of the newest run."""
    if not board:
        return window.like_newest
    rows = window.query("SELECT id FROM bench WHERE board=?1 OR place=?1", (board,))
    return f"{window.like_newest} AND bench_id IN ({','.join(str(bench) for (bench,) in rows)})"


def count_numbers(window: Window, board: str = "") -> int:
    """Return how many numbers the history has, those of older nights among them.

    Args:
        window: The runs.
        board: Serial number or place of a board, for its numbers alone; empty for all.
    """
    on_board = f"id IN (SELECT measure_id FROM number WHERE {_on(window, board)})" if board else "1"
    ((count,),) = window.query(f"SELECT count(*) FROM measure WHERE {on_board}")
    return int(count)


def read_series(
    window: Window, numbers: Collection[int] | None = None, board: str = ""
) -> list[NumberSeries]:
    """Return series in the order of tests and names.

    Args:
        window: The runs. Only boards of the newest run's kind count, real or simulated.
        numbers: Only these numbers of the database; None for all.
        board: Serial number or place of a board, for its points alone; empty for all.
    """
    chosen = "1" if numbers is None else f"measure_id IN ({','.join(map(str, numbers))})"
    values: dict[tuple[int, int, int], list[tuple[float, float | None, float | None]]] = defaultdict(list)
    rows = window.query(
        "SELECT measure_id, run_id, bench_id, value, below, above FROM number "
        f"WHERE {chosen} AND run_id IN {window.within} AND {_on(window, board)} AND abs(value) < 1e100 "
        "ORDER BY measure_id, run_id, attempt, position"
    )
    for measure, run, bench, *rest in rows:
        values[measure, run, bench].append((rest[0], rest[1], rest[2]))
    return _grouped(window, values)


def on_all_boards(window: Window, numbers: Collection[int]) -> list[int]:
    """Return numbers of the database, and those of the same tests on other boards (`t[left]`, `t[right]`)."""
    keys = {
        number: (without_column(nodeid, column), name, unit)
        for number, nodeid, column, name, unit in window.query(_MEASURES)
    }
    wanted = {keys[number] for number in numbers}
    return [number for number, key in keys.items() if key in wanted]


def _grouped(
    window: Window,
    values: Mapping[tuple[int, int, int], list[tuple[float, float | None, float | None]]],
) -> list[NumberSeries]:
    """Join the numbers of tests that differ only in their column."""
    numbers = ",".join(str(measure) for measure in {measure for measure, _, _ in values})
    rows = window.query(f"{_MEASURES} WHERE measure.id IN ({numbers})")
    measures = {measure: rest for measure, *rest in rows}
    found: dict[tuple[str, str, str], NumberSeries] = {}
    for (measure, run, bench), made in values.items():
        nodeid, column, name, unit = measures[measure]
        key = without_column(nodeid, column), name, unit
        series = found.get(key) or found.setdefault(key, NumberSeries(*key, labels=window.labels))
        position = window.position[run]
        value, (_, below, above) = statistics.median(one[0] for one in made), made[-1]
        board, flashed = window.benches[bench]
        image = window.runs[position].image or flashed
        series.points.append(NumberPoint(position, value, board, image, below, above, nodeid))
    for series in found.values():
        series.points.sort(key=lambda point: (point.run, point.board, point.image))
    return [found[key] for key in sorted(found)]


class NumberSpread(NamedTuple):
    """How the values of a number in some neighbouring runs are spread.

    Attributes:
        size: How many values there are.
        mean: Their mean.
        variance: Their variance.
    """

    size: int
    mean: float
    variance: float

    def differs(self, other: NumberSpread) -> bool:
        """Return True if the means differ by more than the scatter explains."""
        apart = self.mean - other.mean
        error = sum(
            max(one.variance, _ROUNDING * one.mean * one.mean) / max(1, one.size - 1) for one in (self, other)
        )
        return apart * apart > _MARKED * _MARKED * error


class NumberBlock(NamedTuple):
    """The values of a number in some neighbouring runs.

    Attributes:
        spread: How they are spread.
        newest: The last value.
        below: Its limit that it must be below, or None.
        above: Its limit that it must be above, or None.
        bench: The bench of the last value, by its number in the database.
        runs: In how many runs they were measured.
        run: The run of the last value, by its number in the database.
    """

    spread: NumberSpread
    newest: float
    below: float | None
    above: float | None
    bench: int
    runs: int
    run: int


def newest_blocks(window: Window, board: str = "") -> dict[int, NumberBlock]:
    """Return the numbers of the newest eight runs, by their numbers in the database.

    Args:
        window: The runs.
        board: Serial number or place of a board, for its values alone; empty for all.
    """
    runs = window.numbers[-_BLOCK_RUNS:]
    positions = " ".join(f"WHEN {run} THEN {position}" for position, run in enumerate(runs))
    rows = _by_number(
        window,
        runs,
        board,
        ", value, below, above, bench_id, count(DISTINCT run_id), run_id, "
        f"max((CASE run_id {positions} END * 1000 + attempt) * 1000 + position)",  # the row of the last value
    )
    return {
        number: NumberBlock(NumberSpread(size, mean, variance), *rest)
        for number, size, mean, variance, *rest, _ in rows
    }


def changed_numbers(
    window: Window, newest: Mapping[int, NumberBlock] | None = None, board: str = ""
) -> list[int]:
    """Return the numbers whose newest eight runs differ from the oldest eight of the window.

    This is a quick first look. It misses changes that the scatter of boards hides.

    Args:
        window: The runs.
        newest: The numbers of its newest runs, if they are known already.
        board: Serial number or place of a board, for its values alone; empty for all.
    """
    if len(window.numbers) < 2 * _BLOCK_RUNS:
        return []
    early = _spreads(window, window.numbers[:_BLOCK_RUNS], board)
    late = (
        _spreads(window, window.numbers[-_BLOCK_RUNS:], board)
        if newest is None
        else {number: block.spread for number, block in newest.items()}
    )
    return [number for number, spread in late.items() if number in early and spread.differs(early[number])]


def _spreads(window: Window, runs: Sequence[int], board: str) -> dict[int, NumberSpread]:
    return {number: NumberSpread(*spread) for number, *spread in _by_number(window, runs, board)}


def _by_number(window: Window, runs: Sequence[int], board: str, more: str = "") -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
    """Return a row for each number that some runs measured: the number, its spread, and more columns."""
    if not runs:
        return []
    return window.query(
        f"SELECT measure.id, count(*), avg(value), avg(value * value) - avg(value) * avg(value){more} "
        "FROM measure CROSS JOIN number ON measure_id=measure.id "
        # One search for each number; the `+` keeps SQLite from one for each of its runs.
        f"WHERE run_id BETWEEN {min(runs)} AND {max(runs)} AND +run_id IN ({','.join(map(str, runs))}) "
        f"AND {_on(window, board)} GROUP BY measure.id"
    )
