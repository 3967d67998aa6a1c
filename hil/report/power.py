"""A test's power trace as the page shows it: with what was done to the DUT, and where its console spoke."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.dutlink.power_plot import to_svg
from hil.dutlink.power_trace import PowerTrace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hil.report.transcript import Transcript

__all__ = ["draw", "read_trace"]

_MOST_MARKS = 60
_EDGES = ("test begins", "test ends")
"""Marks that say what the plot's two ends say."""

_CURSOR = '<path class="cursor" visibility="hidden" d="M0 20V255"/>'  # the page's script moves it


def read_trace(path: Path, since_s: float = 0.0) -> PowerTrace | None:
    """Return a trace that was kept; None: there is none, or it is older than the test that began then."""
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        trace = PowerTrace.from_data(json.loads(path.read_bytes()))
        return trace if trace.ended_s is None or trace.ended_s >= since_s else None
    return None


def draw(trace: PowerTrace, transcript: Transcript | None) -> Markup:
    """Return the plot; it takes its colours from the page."""
    all_marks = transcript.marks if transcript else []
    marks = [(mark.at_s, mark.text) for mark in all_marks if not mark.text.startswith(_EDGES)][:_MOST_MARKS]
    busy_s: Sequence[float] = transcript.busy_s if transcript else ()
    svg = to_svg(trace, marks=marks, busy_s=busy_s, styled=False)
    return Markup(svg.replace("</svg>", f"{_CURSOR}</svg>"))  # noqa: S704 - it escapes
