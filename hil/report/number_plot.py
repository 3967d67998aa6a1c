"""The plot of one number over the nights: a line for each board and image, limits, commits, drifts."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.dutlink.console.sanitize import sanitize_text
from hil.dutlink.power.plot import PlotAxis
from hil.evidence.measurement import format_quantity
from hil.history.nights import day_of
from hil.text_table import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.evidence.records import RunRecord
    from hil.history.numbers.drift import Drift
    from hil.history.numbers.series import NumberLine, NumberPoint, NumberSeries

__all__ = ["colour_class", "draw_numbers"]

_WIDTH, _HEIGHT = 800, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 30, 40
_COLOURS = 8
_FAR_LIMIT = 3.0
"""A limit is left out of the plot if it is further away than this many times the range of the values."""

_DAY_WIDTH, _LABEL_WIDTH = 120, 90


def colour_class(at: int) -> str:
    """Return the style class of a line, by its position."""
    return f"b{at % _COLOURS}"


def draw_numbers(series: NumberSeries, runs: Sequence[RunRecord], drifts: Sequence[Drift]) -> Markup:
    """Return the plot of a number over the nights.

    Args:
        series: The number.
        runs: All runs of the window.
        drifts: How it drifted.
    """
    values = [point.value for point in series.points]
    low, high = min(values), max(values)
    room = max(high - low, 0.02 * max(abs(low), abs(high))) or 1.0
    limits = [limit for point in series.points for limit in (point.below, point.above) if limit is not None]
    near = [limit for limit in limits if low - _FAR_LIMIT * room <= limit <= high + _FAR_LIMIT * room]
    up = PlotAxis(min([low - room / 10, *near]), max([high + room / 10, *near]), _HEIGHT - _BOTTOM, _TOP)
    label = _shown(f"{series.name} by night, {counted(len(series.lines), 'line')}")
    return Markup(  # noqa: S704 - foreign text in it is escaped
        "\n".join(
            [
                f'<svg class="power" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">',
                *_grid(series.unit, runs, up),
                *_commits(runs),
                *_limits(series, runs, up, near),
                *_lines(series, runs, up),
                *_drifts(runs, drifts),
                "</svg>",
            ]
        )
    )


def _label(line: NumberLine, series: NumberSeries) -> str:
    """Return how people know a line: "sim-1, rack-v2.1.img"."""
    board = series.label_of(line.board) or "without a board"
    return f"{board}, {line.image_label}" if line.image else board


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


def _lines(series: NumberSeries, runs: Sequence[RunRecord], up: PlotAxis) -> Iterator[str]:
    for at, line in enumerate(series.lines):
        name = _shown(_label(line, series))
        yield f'<g class="{colour_class(at)}"><title>{name}</title>'
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
                series.label_of(point.board),
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
