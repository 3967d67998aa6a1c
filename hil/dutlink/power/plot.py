"""Draw a power trace as SVG or PNG, for light and dark pages; gaps are shown."""

from __future__ import annotations

import importlib
import math
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.regular_file import nonblocking_opener

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hil.dutlink.power.model import TraceData

__all__ = ["PlotAxis", "plot", "to_svg"]

_WIDTH, _HEIGHT = 800, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 25, 20, 45
_TICKS = 5
_LABEL_ROWS, _LABEL_LETTERS, _LETTER = 3, 28, 6.5
_LABEL_ROOM = 1.25
"""The height of a plot with marks, as a multiple of its highest reading: room for the labels."""


_STYLE = """
  text { font: 12px sans-serif; fill: #333 } .back { fill: #fff } .grid { stroke: #ddd }
  .line { fill: none; stroke: #0969da; stroke-width: 1.5 } .gap { fill: #888; fill-opacity: 0.25 }
  .busy { stroke: #888 } .mark path { stroke: #bf3989; stroke-dasharray: 3 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ccc } .back { fill: #161b22 } .grid { stroke: #30363d } .line { stroke: #58a6ff }
  }
"""


def _write(path: Path, picture: bytes) -> None:
    with open(path, "wb", opener=nonblocking_opener) as file:
        file.write(picture)


def plot(trace: TraceData, path: Path) -> None:
    """Write a picture: `.svg`, or `.png` with CairoSVG (`pip install cairosvg`).

    Raises:
        UsageError: The name ends in neither of them, or CairoSVG cannot be loaded.
        OSError: The file cannot be written.
    """
    kind = path.suffix.lower()
    if kind == ".svg":
        _write(path, to_svg(trace).encode())
    elif kind == ".png":
        _write(path, _png(to_svg(trace)))
    else:
        raise UsageError(
            f"a power trace cannot be drawn as {path.name!r}",
            why="the name says which kind of picture",
            remedy="end it with .svg or .png",
        )


def _png(svg: str) -> bytes:
    try:
        cairosvg = importlib.import_module("cairosvg")
    except (ImportError, OSError) as error:  # OSError: the package is there, the cairo library is not
        raise UsageError(
            "a power trace cannot be drawn as PNG here",
            why=f"CairoSVG cannot be loaded: {error}",
            remedy="pip install cairosvg, or draw it as .svg",
        ) from error
    png: bytes = cairosvg.svg2png(bytestring=svg.encode())
    return png


def to_svg(
    trace: TraceData,
    *,
    marks: Sequence[tuple[float, str]] = (),
    busy_s: Sequence[float] = (),
    styled: bool = True,
) -> str:
    """Return an SVG of watts over the seconds since the trace began.

    Args:
        trace: The trace.
        marks: Times by `time.monotonic` and labels; each is a vertical line.
        busy_s: Times of console output, for a row of ticks under the plot.
        styled: Include colours; False if the page has them.
    """
    ends = [sample.monotonic_s for sample in trace.samples] + [gap.to_s for gap in trace.gaps]
    ends += [trace.began_s + 1.0] if trace.ended_s is None else [trace.ended_s]
    watts = [sample.watts for sample in trace.samples]
    across = PlotAxis(0.0, max(ends) - trace.began_s, _LEFT, _WIDTH - _RIGHT)
    most = max([0.1, *watts]) * (_LABEL_ROOM if marks else 1.0)
    up = PlotAxis(min([0.0, *watts]), most, _HEIGHT - _BOTTOM, _TOP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" class="power"',
            f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="Power of the DUT over time"',
            f'data-left="{_LEFT}" data-right="{_WIDTH - _RIGHT}" data-end="{across.high:.6g}">',
            f"<title>Power of the DUT over time</title>{f'<style>{_STYLE}</style>' if styled else ''}",
            f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
            *_grid(across, up),
            *_gaps(trace, across),
            *_lines(trace, across, up),
            *_busy(trace, across, busy_s),
            *_marks(trace, across, marks),
            "</svg>\n",
        ]
    )


class PlotAxis:
    """Map values of a range to pixels; the range is widened to round ticks.

    Args:
        low: The least value.
        high: The greatest value.
        first: Pixel of the lower end.
        last: Pixel of the upper end.

    Attributes:
        low: The lower end.
        high: The upper end.
    """

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        rough = ((high - low) or 1e-3) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        self._step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        self.low = math.floor(low / self._step) * self._step
        self.high = max(math.ceil(high / self._step - 1e-9) * self._step, self.low + self._step)
        self._first, self._last = first, last

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self._first + share * (self._last - self._first), 1)

    def ticks(self) -> list[float]:
        """Return the round values from the lower end to the upper."""
        return [
            self.low + index * self._step for index in range(round((self.high - self.low) / self._step) + 1)
        ]


def _grid(across: PlotAxis, up: PlotAxis) -> Iterator[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value in across.ticks():
        x = across.at(value)
        yield f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}"/>'
        yield f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{value:.6g}</text>'
    for value in up.ticks():
        y = up.at(value)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.4g}</text>'
    yield f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">time / s</text>'
    middle = (_TOP + bottom) / 2
    yield f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">power / W</text>'


def _gaps(trace: TraceData, across: PlotAxis) -> Iterator[str]:
    for gap in trace.gaps:
        x, end = across.at(gap.from_s - trace.began_s), across.at(gap.to_s - trace.began_s)
        yield (
            f'<rect class="gap" x="{x}" y="{_TOP}" width="{round(end - x, 1)}" '
            f'height="{_HEIGHT - _BOTTOM - _TOP}"><title>no readings</title></rect>'
        )


def _lines(trace: TraceData, across: PlotAxis, up: PlotAxis) -> Iterator[str]:
    """Yield a line for each part without a gap; a single reading is a circle."""
    after_gap = {gap.to_s for gap in trace.gaps}
    stretches: list[list[tuple[float, float]]] = [[]]
    for sample in trace.samples:
        if sample.monotonic_s in after_gap:
            stretches.append([])
        stretches[-1].append((across.at(sample.monotonic_s - trace.began_s), up.at(sample.watts)))
    for stretch in filter(None, stretches):
        if len(stretch) == 1:
            yield '<circle class="line" cx="{}" cy="{}" r="2.5"/>'.format(*stretch[0])
        else:
            points = " ".join(f"{x},{y}" for x, y in _thinned(stretch))
            yield f'<polyline class="line" points="{points}"/>'


def _thinned(points: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield the first, highest, lowest and last point of each tenth of a pixel; the others are invisible."""
    for _, together in groupby(points, key=lambda point: point[0]):
        group = list(together)
        heights = [y for _, y in group]
        shown = {0, heights.index(min(heights)), heights.index(max(heights)), len(group) - 1}
        yield from (group[index] for index in sorted(shown))


def _busy(trace: TraceData, across: PlotAxis, busy_s: Sequence[float]) -> Iterator[str]:
    """Yield a path with a tick for each pixel in which console output came."""
    bottom = _HEIGHT - _BOTTOM
    seen = {round(across.at(at_s - trace.began_s)) for at_s in busy_s}
    ticks = "".join(f"M{x} {bottom}v-6" for x in sorted(seen) if _LEFT <= x <= _WIDTH - _RIGHT)
    if ticks:
        yield f'<path class="busy" d="{ticks}"><title>the console spoke</title></path>'


def _marks(trace: TraceData, across: PlotAxis, marks: Sequence[tuple[float, str]]) -> Iterator[str]:
    """Yield a line for each mark; a label that would cover another one is only in the tooltip."""
    taken = [0.0] * _LABEL_ROWS
    for at_s, text in marks:
        x = across.at(at_s - trace.began_s)
        if not _LEFT <= x <= _WIDTH - _RIGHT:
            continue
        yield f'<g class="mark"><title>{escape(text)}</title><path d="M{x} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        label = text if len(text) <= _LABEL_LETTERS else f"{text[: _LABEL_LETTERS - 3]}..."
        row = next((row for row, end in enumerate(taken) if end < x), None)
        if row is not None and x + len(label) * _LETTER < _WIDTH:
            taken[row] = x + len(label) * _LETTER
            yield f'<text x="{x + 3}" y="{_TOP + 11 + 14 * row}">{escape(label)}</text>'
        yield "</g>"
