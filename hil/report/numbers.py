"""The page of numbers: a plot for each over the nights, with boards, limits, commits and drifts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html import escape
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.dutlink.console.sanitize import sanitize_text
from hil.dutlink.power.plot import PlotAxis
from hil.evidence.measurement import format_quantity
from hil.evidence.records import file_stem
from hil.history.nights import day_of
from hil.history.numbers.listing import HEADS, SCALED, newest_numbers
from hil.history.numbers.series import newest_blocks, on_all_boards, read_series
from hil.report.pages import write_page

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from hil.evidence.records import RunRecord
    from hil.history.numbers.drift import Drift
    from hil.history.numbers.listing import NewestNumber
    from hil.history.numbers.series import LineValues, NumberLine, NumberPoint, NumberSeries
    from hil.history.window import Window

__all__ = ["NumberView", "NumbersPage", "view_numbers", "write_numbers"]

_MOST_PLOTS = 100
_MOST_ROWS = 1000
_WIDTH, _HEIGHT = 800, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 30, 40
_COLOURS = 8
_FAR_LIMIT = 3.0
"""A limit is left out of the plot if it is further away than this many times the range of the values."""

_DAY_WIDTH, _LABEL_WIDTH = 120, 90


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A line in the plot of a number, how people know its board, its image if images differ, its values."""

    label: str
    image: str
    colour: str
    shown: LineValues


@dataclass(frozen=True, slots=True)
class NumberView:
    """One number as a page shows it.

    Attributes:
        series: The number.
        anchor: Its place in the page.
        drifts: How it drifted.
        newest: Its values in the newest run in words, with their limits.
        is_broken: Whether one of them breaks a limit.
        lines: A line for each board and image.
        limits: The newest limits in words, if its plot has them; else empty.
        chart: Its plot.
    """

    series: NumberSeries
    anchor: str
    drifts: list[Drift]
    newest: str
    is_broken: bool
    lines: list[PlotLine]
    limits: str
    chart: Markup

    @property
    def has_images(self) -> bool:
        """Whether its lines are of several images."""
        return any(line.image for line in self.lines)


@dataclass(slots=True)
class NumbersPage:
    """All numbers of the nights.

    Attributes:
        views: The numbers with a plot: those that drifted, then those that break a limit, then others.
        others: Numbers without a plot.
        remark: What to know about all of them; empty if nothing.
    """

    views: list[NumberView] = field(default_factory=list)
    others: list[NewestNumber] = field(default_factory=list)
    remark: str = ""

    @property
    def tests(self) -> list[str]:
        """The tests whose numbers have a plot."""
        return list(dict.fromkeys(test for view in self.views for test in view.series.tests))

    def of_test(self, test: str) -> list[NumberView]:
        """Return the numbers that a test measured."""
        return [view for view in self.views if test in view.series.tests]

    def anchor_of(self, drift: Drift) -> str:
        """Return the place of a number that drifted in the page; empty if it has no plot."""
        return next((view.anchor for view in self.views if drift in view.drifts), "")


def view_numbers(window: Window, drifts: Sequence[Drift]) -> NumbersPage:
    """Return the numbers of the newest eight runs, with plots over the whole window.

    Args:
        window: The runs.
        drifts: The numbers that drifted.
    """
    drifted = {(one.name, one.test.partition("[")[0]) for one in drifts}
    newest = newest_numbers(window, newest_blocks(window))
    newest.sort(
        key=lambda one: ((one.name, one.test.partition("[")[0]) not in drifted, not one.newest.is_broken)
    )
    chosen = set(on_all_boards(window, [one.number for one in newest[:_MOST_PLOTS]]))
    series = read_series(window, chosen) if chosen else []
    views = [_view(one, window, drifts) for one in series]
    views.sort(key=lambda view: (not view.drifts, not view.is_broken))
    remark = SCALED if window.simulated_last() else ""
    return NumbersPage(views, [one for one in newest if one.number not in chosen], remark)


def write_numbers(page: NumbersPage, out: Path) -> None:
    """Write the page of all numbers.

    Raises:
        OSError: The page cannot be written.
    """
    write_page(out, "numbers.html", "numbers.html.j2", page=page, rows=page.others[:_MOST_ROWS], heads=HEADS)


def _view(series: NumberSeries, window: Window, drifts: Sequence[Drift]) -> NumberView:
    tests = {series.test, *series.tests}
    own = [one for one in drifts if (one.name, one.unit) == (series.name, series.unit) and one.test in tests]
    last = series.points[-1]
    values = sorted(point.value for point in series.points if point.run == last.run)
    shown = dict.fromkeys(format_quantity(value, series.unit) for value in (values[0], values[-1]))
    limits = series.measurement(last).limits
    stale = last.run < len(window.runs) - 1
    day = f", on {day_of(window.runs[last.run].began_s)}: not measured in the newest run" if stale else ""
    chart = draw_numbers(series, window.runs, own, window.labels)
    images = _short_names({line.image_label for line in series.lines})
    return NumberView(
        series,
        f"n-{file_stem(f'{series.name} {series.unit} {series.test}')}",
        own,
        " to ".join(shown) + (f", must be {limits}" if limits else "") + day,
        any(point.is_broken for point in series.points if point.run == last.run),
        [
            PlotLine(
                window.labels.get(line.board, line.board),
                images[line.image_label],
                _colour(at),
                _values(line, series, window),
            )
            for at, line in enumerate(series.lines)
        ],
        limits if 'class="limit"' in chart else "",
        chart,
    )


def _short_names(images: Collection[str]) -> dict[str, str]:
    """Return each image's name without size and digest, if that tells them apart."""
    short = {image: re.sub(r" \([^)]*\)", "", image) for image in images}
    return short if len(set(short.values())) == len(short) else {image: image for image in images}


def _values(line: NumberLine, series: NumberSeries, window: Window) -> LineValues:
    """Return the values of a line in words, the newest with its day if the newest run has none."""
    values, last = line.values(series.unit), line.points[-1].run
    if last == len(window.runs) - 1:
        return values
    return replace(values, newest=f"{values.newest}, {day_of(window.runs[last].began_s)}")


def _label(line: NumberLine, labels: Mapping[str, str]) -> str:
    """Return how people know a line: "sim-1, rack-v2.1.img"."""
    board = labels.get(line.board, line.board) or "without a board"
    return f"{board}, {line.image_label}" if line.image else board


def _colour(at: int) -> str:
    return f"b{at % _COLOURS}"


def draw_numbers(
    series: NumberSeries,
    runs: Sequence[RunRecord],
    drifts: Sequence[Drift],
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Markup:
    """Return the plot of a number over the nights.

    Args:
        series: The number.
        runs: All runs of the window.
        drifts: How it drifted.
        labels: How people know each board; those that are missing have their own names.
    """
    values = [point.value for point in series.points]
    low, high = min(values), max(values)
    room = max(high - low, 0.02 * max(abs(low), abs(high))) or 1.0
    limits = [limit for point in series.points for limit in (point.below, point.above) if limit is not None]
    near = [limit for limit in limits if low - _FAR_LIMIT * room <= limit <= high + _FAR_LIMIT * room]
    up = PlotAxis(min([low - room / 10, *near]), max([high + room / 10, *near]), _HEIGHT - _BOTTOM, _TOP)
    label = _shown(f"{series.name} by night, {len(series.lines)} lines")
    return Markup(  # noqa: S704 - foreign text in it is escaped
        "\n".join(
            [
                f'<svg class="power" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">',
                *_grid(series.unit, runs, up),
                *_commits(runs),
                *_limits(series, runs, up, near),
                *_lines(series, runs, up, labels),
                *_drifts(runs, drifts),
                "</svg>",
            ]
        )
    )


def _x(run: float, runs: Sequence[RunRecord]) -> float:
    return round(_LEFT + 8 + run / max(1, len(runs) - 1) * (_WIDTH - _RIGHT - _LEFT - 16), 1)


def _grid(unit: str, runs: Sequence[RunRecord], up: PlotAxis) -> Iterator[str]:
    for value in up.ticks():
        y = up.at(value)
        yield f'<path class="grid" d="M{_LEFT} {y}H{_WIDTH - _RIGHT}"/>'
        label = _shown(format_quantity(value, unit))
        yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{label}</text>'
    yield from _days(runs)


def _days(runs: Sequence[RunRecord]) -> Iterator[str]:
    """Yield the dates below the plot where there is room, the newest first, which always has one."""
    taken = float("inf")  # left end of the last label
    for run in reversed(range(len(runs))):
        x, half = _x(run, runs), _DAY_WIDTH / 2
        right = min(x + half, _WIDTH)
        if right <= taken:
            taken = right - _DAY_WIDTH
            day = day_of(runs[run].began_s)
            yield f'<text x="{right - half}" y="{_HEIGHT - 8}" text-anchor="middle">{day}</text>'


def _commits(runs: Sequence[RunRecord]) -> Iterator[str]:
    """Yield a tick under the plot for each new commit or image, with a label where there is room."""
    bottom, taken = _HEIGHT - _BOTTOM, 0.0
    for run, (before, after) in enumerate(pairwise(runs), 1):
        news = [
            f"{word} {new[:10] if word == 'commit' else new}"
            for word, old, new in (
                ("commit", before.commit, after.commit),
                ("image", before.image, after.image),
            )
            if new and old != new
        ]
        if not news:
            continue
        x = _x(run - 0.5, runs)
        said = f"{day_of(after.began_s)}: {', '.join(news)}"
        yield f'<g class="commit"><title>{_shown(said)}</title><path d="M{x} {_TOP}V{bottom + 6}"/>'
        if x >= taken and x < _WIDTH - _LABEL_WIDTH and after.commit:
            taken = x + _LABEL_WIDTH
            yield f'<text x="{x + 3}" y="{bottom + 14}">{_shown(after.commit[:7])}</text>'
        yield "</g>"


def _limits(
    series: NumberSeries, runs: Sequence[RunRecord], up: PlotAxis, near: Sequence[float]
) -> Iterator[str]:
    """Yield the limits as lines that follow their changes."""
    for name in ("below", "above"):
        steps: list[str] = []
        for point in series.points:
            limit: float | None = getattr(point, name)
            if limit is None or limit not in near:
                continue
            left, right, y = _x(point.run - 0.5, runs), _x(point.run + 0.5, runs), up.at(limit)
            steps.append(f"M{max(left, _LEFT)} {y}H{min(right, _WIDTH - _RIGHT)}")
        if steps:
            drawn = "".join(dict.fromkeys(steps))
            yield f'<path class="limit" d="{drawn}"><title>must be {name}</title></path>'


def _lines(
    series: NumberSeries, runs: Sequence[RunRecord], up: PlotAxis, labels: Mapping[str, str]
) -> Iterator[str]:
    for at, line in enumerate(series.lines):
        name = _shown(_label(line, labels))
        yield f'<g class="{_colour(at)}"><title>{name}</title>'
        for points in _without_gaps(line.points):
            spots = " ".join(f"{_x(point.run, runs)},{up.at(point.value)}" for point in points)
            yield f'<polyline class="number" points="{spots}"/>'
        for point in line.points:
            yield _spot(series, runs, up, point)
        yield "</g>"


def _without_gaps(points: Sequence[NumberPoint]) -> Iterator[list[NumberPoint]]:
    """Yield the points in pieces, between which there are runs that did not measure the number."""
    piece: list[NumberPoint] = []
    for point in points:
        if piece and point.run > piece[-1].run + 1:
            yield piece
            piece = []
        piece.append(point)
    yield piece


def _spot(series: NumberSeries, runs: Sequence[RunRecord], up: PlotAxis, point: NumberPoint) -> str:
    run = runs[point.run]
    said = ", ".join(
        filter(
            None,
            (
                format_quantity(point.value, series.unit),
                day_of(run.began_s),
                point.board,
                point.image,
                f"commit {run.commit[:10]}" if run.commit else "",
                "breaks its limit" if point.is_broken else "",
            ),
        )
    )
    style = ' class="o-failed broken"' if point.is_broken else ""
    spot = f'cx="{_x(point.run, runs)}" cy="{up.at(point.value)}" r="{4 if point.is_broken else 2.5}"'
    return f"<circle{style} {spot}><title>{_shown(said)}</title></circle>"


def _drifts(runs: Sequence[RunRecord], drifts: Sequence[Drift]) -> Iterator[str]:
    for at, drift in enumerate(drifts):
        run = next(number for number, facts in enumerate(runs) if facts.began_s >= drift.since_s)
        x = _x(run - 0.5 * drift.is_step, runs)
        end = x > _WIDTH - _RIGHT - 2 * _LABEL_WIDTH
        label = f"{'from here' if drift.is_step else 'drifts from here'}: {drift.change}"
        place = f'x="{x - 4}" text-anchor="end"' if end else f'x="{x + 4}"'
        yield f'<g class="mark"><title>{_shown(str(drift))}</title>'
        yield f'<path d="M{x} {_TOP - 16}V{_HEIGHT - _BOTTOM}"/>'
        yield f'<text {place} y="{_TOP - 8 + 13 * at}">{_shown(label)}</text></g>'


def _shown(text: str) -> str:
    """Return foreign text, made safe to show in a page."""
    return escape(sanitize_text(text))
