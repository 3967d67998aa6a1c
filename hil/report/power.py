"""A test's power trace as the page shows it: with what was done to the DUT, and where its console spoke."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.dutlink.power.plot import to_svg
from hil.dutlink.power.trace import PowerTrace
from hil.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hil.report.transcript import ConsoleView

__all__ = ["draw_trace", "read_traces"]

_MOST_MARKS = 60
_MOST_ATTEMPTS = 9
_EDGES = ("test begins", "test ends")
"""Marks that say what the plot's two ends say."""

_CURSOR = '<path class="cursor" visibility="hidden" d="M0 20V255"/>'  # the page's script moves it


def read_traces(folder: Path, stem: str, since_s: float = 0.0) -> list[PowerTrace]:
    """Return what is kept of a test's attempts, in order; nothing older than the test of that time."""
    earlier = [f"{stem}-attempt-{number}" for number in range(1, _MOST_ATTEMPTS)]
    traces = [_read(folder / f"{name}.json") for name in (*earlier, stem)]
    return [trace for trace in traces if trace and (trace.ended_s is None or trace.ended_s >= since_s)]


def draw_trace(trace: PowerTrace, transcript: ConsoleView | None, origin_s: float) -> Markup:
    """Return the plot; it takes its colours from the page, which counts seconds from `origin_s`."""
    all_marks = transcript.marks if transcript else []
    marks = [(mark.at_s, mark.text) for mark in all_marks if not mark.text.startswith(_EDGES)][:_MOST_MARKS]
    busy_s: Sequence[float] = transcript.busy_s if transcript else ()
    svg = to_svg(trace, marks=marks, busy_s=busy_s, styled=False)
    begins = f' data-begin="{trace.began_s - origin_s:.3f}" data-end='
    svg = svg.replace(" data-end=", begins, 1).replace("</svg>", f"{_CURSOR}</svg>")
    return Markup(svg)  # noqa: S704 - what is foreign in it was escaped


def _read(path: Path) -> PowerTrace | None:
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        return PowerTrace.from_data(json.loads(read_regular(path)))
    return None
