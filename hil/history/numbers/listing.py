"""What `hil history numbers` tells: the newest values of all numbers, or everything about some of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hil.errors import HistoryError
from hil.evidence.measurement import Measurement, format_quantity
from hil.history.nights import day_of
from hil.history.numbers.change import LEAST_VALUES
from hil.history.numbers.drift import drifts_of, find_drifts
from hil.history.numbers.series import count_numbers, newest_blocks, read_series
from hil.text_table import section, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hil.history.numbers.drift import Drift
    from hil.history.numbers.series import NumberBlock, NumberPoint, NumberSeries
    from hil.history.window import Window

__all__ = [
    "HEADS",
    "SCALED",
    "NewestNumber",
    "NumberList",
    "list_numbers",
    "newest_numbers",
    "numbers_like",
    "numbers_of_test",
]

_MOST_SERIES = 20
_SHOWN_POINTS = 20
HEADS = ("number", "newest>", "must be", "mean, newest 8 runs>", "runs>", "board", "image", "note")

SCALED = "These are of simulated boards; with speed=F their times are an F-th of real ones."
"""What to know about numbers of simulated boards, whose records do not say how fast their time ran."""


@dataclass(frozen=True, slots=True)
class NewestNumber:
    """The newest value of a number.

    Attributes:
        number: Its number in the database.
        test: Node id of its test.
        name: Its name.
        unit: Its unit.
        board: The board of the newest value, as a point names it; empty if the test had none.
        label: How people know that board.
        image: The image of the newest value; empty if not known.
        missing_since: The day of the newest value if the newest run measured none; else empty.
        block: The values of the newest eight runs.
    """

    number: int
    test: str
    name: str
    unit: str
    board: str
    label: str
    image: str
    missing_since: str
    block: NumberBlock

    @property
    def newest(self) -> Measurement:
        """The newest value with its limits."""
        return Measurement(self.name, self.block.newest, self.unit, self.block.below, self.block.above)

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        few = {
            "test": self.test,
            "board": self.board,
            "mean": self.block.spread.mean,
            "values": self.block.spread.size,
        }
        more = {"runs": self.block.runs, "image": self.image, "missing_since": self.missing_since}
        return {**asdict(self.newest), **few, **more}

    @property
    def cells(self) -> list[str]:
        """Its row of the table for people."""
        newest, block = self.newest, self.block
        return [
            self.name,
            format_quantity(block.newest, self.unit),
            f"{newest.limits}{': BROKEN' if newest.is_broken else ''}",
            format_quantity(block.spread.mean, self.unit),
            str(block.runs),
            self.label,
            self.image,
            f"not in the newest run, {self.missing_since}" if self.missing_since else "",
        ]


@dataclass(frozen=True, slots=True)
class NumberList:
    """The numbers of the newest eight runs, and those that drifted.

    Attributes:
        drifted: The numbers that drifted.
        newest: The newest values, by test and name.
        older: How many numbers only older runs have.
    """

    drifted: list[Drift]
    newest: list[NewestNumber]
    older: int

    def data(self) -> dict[str, Any]:
        """Return them as plain data."""
        newest = [one.as_data() for one in self.newest]
        return {"drifted": [asdict(one) for one in self.drifted], "numbers": newest, "older": self.older}

    def lines(self) -> list[str]:
        """Return them as lines for people."""
        lines = list(map(str, self.drifted))
        for test, numbers in groupby(self.newest, key=lambda one: one.test):
            lines += section(test, table(HEADS, [one.cells for one in numbers]))
        if self.older:
            lines.append(
                f"{self.older} more {'was' if self.older == 1 else 'were'} measured in older runs alone"
            )
        lines = lines or ["no test has measured a number: see the fixture measure in docs/numbers.md"]
        return lines if lines[0] else lines[1:]


def list_numbers(window: Window, board: str = "") -> NumberList:
    """Return the numbers of a window.

    Args:
        window: The runs.
        board: Serial number or place of a board, for its values alone; empty for all.
    """
    blocks = newest_blocks(window, board)
    drifted, newest = find_drifts(window, blocks, board), newest_numbers(window, blocks)
    return NumberList(drifted, newest, count_numbers(window, board) - len(newest))


def newest_numbers(window: Window, blocks: Mapping[int, NumberBlock]) -> list[NewestNumber]:
    """Return the newest values of numbers, by test and name.

    Args:
        window: The runs.
        blocks: The numbers of its newest runs.
    """
    found, labels = [], window.labels
    rows = window.query(
        "SELECT measure.id, nodeid, name, unit FROM measure JOIN test ON test.id=test_id "
        "ORDER BY nodeid, name, unit"
    )
    for number, test, name, unit in rows:
        if number not in blocks:
            continue
        block = blocks[number]
        (board, flashed), run = window.benches[block.bench], window.runs[window.position[block.run]]
        missing_since = "" if block.run == window.numbers[-1] else day_of(run.began_s)
        image = run.image or flashed
        label = labels.get(board, board)
        found.append(NewestNumber(number, test, name, unit, board, label, image, missing_since, block))
    return found


def numbers_like(window: Window, text: str, board: str = "") -> tuple[list[dict[str, Any]], list[str]]:
    """Return everything about some numbers, as data and as lines.

    Args:
        window: The runs.
        text: The name of a number; else a part of its name, or of its test's node id.
        board: Serial number or place of a board, for its values alone; empty for all.

    Raises:
        HistoryError: There is no such number, or there are too many.
    """
    names = window.query("SELECT measure.id, name, nodeid FROM measure JOIN test ON test.id=test_id")
    exact = [number for number, name, _ in names if name == text]
    like = exact or [number for number, name, test in names if text in name or text in test]
    found = read_series(window, like, board) if like else []
    if len(found) > _MOST_SERIES:
        some = ", ".join(dict.fromkeys(series.name for series in found[:_MOST_SERIES]))
        raise HistoryError(
            f"{len(found)} numbers are like {text!r}", why=some, remedy="give more of the name"
        )
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


def numbers_of_test(window: Window, test: int, board: str = "") -> list[str]:
    """Return lines about the numbers that a test measured.

    Args:
        window: The runs.
        test: Number of the test in the database.
        board: Serial number or place of a board, for its values alone; empty for all.
    """
    numbers = [number for (number,) in window.query("SELECT id FROM measure WHERE test_id=?", (test,))]
    found = read_series(window, numbers, board) if numbers else []
    return [f"{series.name}, {line}" for series in found for line in _by_line(series)]


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
    few = "no drift can be told from so few runs" if nights < LEAST_VALUES else "it did not drift"
    yield from drifted or [few]
    yield from _by_line(series)
    heads = ("night", "value>", "must be", "board", "image", "commit")
    yield from section(
        f"Values of {series.name}, the newest last",
        table(heads, [_cells(window, series, point) for point in series.points[-_SHOWN_POINTS:]]),
    )


def _cells(window: Window, series: NumberSeries, point: NumberPoint) -> list[str]:
    run = window.runs[point.run]
    made = series.measurement(point)
    return [
        day_of(run.began_s),
        format_quantity(point.value, series.unit),
        f"{made.limits}{': BROKEN' if made.is_broken else ''}",
        series.label_of(point.board),
        point.image,
        run.commit[:10],
    ]


def _by_line(series: NumberSeries) -> Iterator[str]:
    for line in series.lines:
        made = line.values(series.unit)
        where = f"on {series.label_of(line.board)}" if line.board else "without a board"
        where += f" with image {line.image_label}" if line.image else ""
        yield f"{where}: {made.low} to {made.high}, median {made.median}, of {made.count}"
