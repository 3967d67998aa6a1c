"""Write the page of one test in one run: its attempts, console and power."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from hil.dutlink.power.plot import to_svg
from hil.dutlink.power.trace import PowerTrace
from hil.evidence.records import file_stem, part_name
from hil.regular_file import read_regular
from hil.report.filters import seconds, when
from hil.report.pages import write_page
from hil.report.transcript import merge_views, read_console_view
from hil.text_table import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hil.evidence.console_slices import RunConsoles
    from hil.evidence.records import RecordedTest
    from hil.evidence.used_board import UsedBoard
    from hil.report.transcript import ConsoleView

__all__ = ["write_test_in_run"]

_MOST_MARKS = 60
_MOST_ATTEMPTS = 9

_WHOLE_CONSOLE = re.compile(r"\n\(all of it: .*/(?P<name>[^/\n]+)\)$")
"""The last line of a console's section; the path is that of the host on which the run was."""

_CURSOR = '<path class="cursor" visibility="hidden" d="M0 20V255"/>'  # the page's script moves it


def write_test_in_run(folder: Path, test: RecordedTest, consoles: RunConsoles, nights: str) -> None:
    """Write the page of one test.

    Args:
        folder: The evidence folder of the run.
        test: The test.
        consoles: The consoles of the run.
        nights: The link from the folder to the page of all nights; empty if the run is not one of them.

    Raises:
        OSError: The page cannot be written.
    """
    began_s = test.began_monotonic_s
    stem = test.stem or file_stem(test.nodeid)
    transcript = read_console_view(consoles, stem) if test.board else None
    traces = _read_traces(folder / "power", stem, began_s) if test.board else []
    origin_s = traces[0].began_s if traces else began_s + test.wait_s
    plots = [(_power_facts(trace), _draw_trace(trace, transcript, origin_s)) for trace in traces]
    if test.board and test.partners:
        stems = {one.role: file_stem(part_name(test.nodeid, one.role)) for one in test.partners}
        views = {role: read_console_view(consoles, part) for role, part in stems.items()}
        views = {test.board.role: transcript, **views}
        of_boards = [(test.board, trace) for trace in traces]
        for one in test.partners:
            found = _read_traces(folder / "power", stems[one.role], began_s)
            of_boards += [(one, trace) for trace in found]
        plots = _plots_on_one_axis(of_boards, views, origin_s)
        transcript = merge_views(views)
    write_page(
        folder,
        f"tests/{file_stem(test.nodeid)}.html",
        "test_in_run.html.j2",
        test=test,
        facts=list(_test_facts(test)),
        transcript=transcript,
        plots=plots,
        sections=lambda attempt: [_section(folder, test, *section) for section in attempt.sections],
        nights=nights,
        find=quote(test.nodeid.replace("::", " ", 1), safe="", errors="replace"),
        readings=list(_readings(test)),
        origin_s=origin_s,
    )


def _section(folder: Path, test: RecordedTest, title: str, text: str) -> tuple[str, str, str]:
    """Return title, text and link to the whole text of a section; the title has the names of boards."""
    for board in test.boards:
        title = title.replace(f"board {board.serial}", f"board {board.label}")
    found = _WHOLE_CONSOLE.search(text)
    if found is None or not (folder / "console" / found["name"]).is_file():
        return title, text, ""
    return title, text[: found.start()], f"../console/{quote(found['name'])}"


def _readings(test: RecordedTest) -> Iterator[tuple[str, str]]:
    """Yield the words and the file of the readings of each board."""
    stem = test.stem or file_stem(test.nodeid)
    yield f"The readings{f' of {test.board.role}' if test.board and test.partners else ''}", f"{stem}.json"
    for one in test.partners:
        yield f"of {one.role}", f"{file_stem(part_name(test.nodeid, one.role))}.json"


def _plots_on_one_axis(
    traces: Sequence[tuple[UsedBoard, PowerTrace]], views: Mapping[str, ConsoleView | None], origin_s: float
) -> list[tuple[str, Markup]]:
    """Return a text and a plot for each trace of a test with several boards; all plots show the same time."""
    begin_s = min((trace.began_s for _, trace in traces), default=0.0)
    end_s = max((trace.ended_s or trace.began_s + trace.measured_s for _, trace in traces), default=0.0)
    return [
        (
            f"{_board_name(board)}. {_power_facts(trace)}",
            _draw_trace(replace(trace, began_s=begin_s, ended_s=end_s), views[board.role], origin_s),
        )
        for board, trace in traces
    ]


def _test_facts(test: RecordedTest) -> list[tuple[str, str]]:
    board, boards = test.board, "boards" if test.partners else "board"
    facts = [
        ("began", when(test.began_s)),
        ("took", seconds(test.took_s)),
        (f"waited for its {boards}", seconds(test.wait_s) if board else ""),
        (boards, " and ".join(map(_board_name, test.boards))),
        ("firmware", " and ".join(dict.fromkeys(one.firmware for one in test.boards))),
        ("image", test.image),
        ("kind", test.kind),
        ("worker", test.worker),
    ]
    return [(name, value) for name, value in facts if value]


def _board_name(board: UsedBoard) -> str:
    return f"{board.role}: {board.label}" if board.role else board.label


def _power_facts(trace: PowerTrace) -> str:
    if not trace.samples:
        return "The meter gave no reading."
    on, whole, peak = trace.mean_watts_on, trace.mean_watts, trace.peak.watts
    mean = f"{whole:z.2f} W (time with the DUT off included)"
    if on is not None:
        mean = f"{on:z.2f} W while the DUT was on"
    counts = f"{counted(len(trace.samples), 'reading')}, {counted(len(trace.gaps), 'gap')}"
    return f"Mean {mean}, peak {peak:z.2f} W, {counts}."


def _read_traces(folder: Path, stem: str, since_s: float = 0.0) -> list[PowerTrace]:
    """Return the traces of a test's attempts, in order; traces older than `since_s` are of an earlier run."""
    earlier = [f"{stem}-attempt-{number}" for number in range(1, _MOST_ATTEMPTS)]
    traces = [_read(folder / f"{name}.json") for name in (*earlier, stem)]
    return [trace for trace in traces if trace and (trace.ended_s is None or trace.ended_s >= since_s)]


def _draw_trace(trace: PowerTrace, transcript: ConsoleView | None, origin_s: float) -> Markup:
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
