"""The page of numbers over the nights: each with its plot and a table of its boards and images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hil.evidence.measurement import format_quantity
from hil.evidence.records import file_stem
from hil.history.nights import day_of
from hil.history.numbers.listing import HEADS, SCALED, newest_numbers
from hil.history.numbers.series import newest_blocks, on_all_boards, read_series
from hil.report.number_plot import colour_class, draw_numbers
from hil.report.pages import write_page

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from markupsafe import Markup

    from hil.history.numbers.drift import Drift
    from hil.history.numbers.listing import NewestNumber
    from hil.history.numbers.series import LineValues, NumberLine, NumberSeries
    from hil.history.window import Window

__all__ = ["NumberView", "NumbersPage", "view_numbers", "write_numbers"]

_MOST_PLOTS = 100
_MOST_ROWS = 1000


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
    chart = draw_numbers(series, window.runs, own)
    images = _short_names({line.image_label for line in series.lines})
    return NumberView(
        series,
        f"n-{file_stem(f'{series.name} {series.unit} {series.test}')}",
        own,
        " to ".join(shown) + (f", must be {limits}" if limits else "") + day,
        any(point.is_broken for point in series.points if point.run == last.run),
        [
            PlotLine(
                series.label_of(line.board),
                images[line.image_label],
                colour_class(at),
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
