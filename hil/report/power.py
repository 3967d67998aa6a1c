"""The plot of a test's power trace, with marks of actions on the DUT and of console output."""

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

_CURSOR = '<path class="cursor" visibility="hidden" d="M0 20V255"/>'  # the page's script moves it


def read_traces(folder: Path, stem: str, since_s: float = 0.0) -> list[PowerTrace]:
    """Return the traces of a test's attempts, in order; traces older than `since_s` are of an earlier run."""
    earlier = [f"{stem}-attempt-{number}" for number in range(1, _MOST_ATTEMPTS)]
    traces = [_read(folder / f"{name}.json") for name in (*earlier, stem)]
    return [trace for trace in traces if trace and (trace.ended_s is None or trace.ended_s >= since_s)]


def draw_trace(trace: PowerTrace, transcript: ConsoleView | None, origin_s: float) -> Markup:
    """Return the plot, with colours by the page's style; the page counts seconds from `origin_s`.

    The test's own start and end are left out, since they are the plot's two ends.
    """
    all_marks = transcript.marks if transcript else []
    marks = [(mark.at_s, mark.text) for mark in all_marks if not mark.is_test_edge][:_MOST_MARKS]
    busy_s: Sequence[float] = transcript.busy_s if transcript else ()
    svg = to_svg(trace, marks=marks, busy_s=busy_s, styled=False)
    begins = f' data-begin="{trace.began_s - origin_s:.3f}" data-end='
    svg = svg.replace(" data-end=", begins, 1).replace("</svg>", f"{_CURSOR}</svg>")
    return Markup(svg)  # noqa: S704 - foreign text in it is escaped


def _read(path: Path) -> PowerTrace | None:
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        return PowerTrace.from_data(json.loads(read_regular(path)))
    return None
