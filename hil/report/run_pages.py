"""Write the pages of one run into its evidence folder: run, tests, boards, and a summary as Markdown."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from hil.dutlink.power.plot import to_svg
from hil.dutlink.power.trace import PowerTrace
from hil.evidence.records import file_stem, part_name
from hil.evidence.run_consoles import RunConsoles
from hil.evidence.run_folder import EvidenceFolder
from hil.lab.files.atomic_file import write_below
from hil.regular_file import read_regular
from hil.report.filters import KINDS, board_file, seconds, when
from hil.report.markdown_summary import summary
from hil.report.pages import write_page
from hil.report.run_view import read_run
from hil.report.timeline import build_timeline
from hil.report.transcript import merge_views, read_console_view

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hil.evidence.records import RecordedTest
    from hil.evidence.used_board import UsedBoard
    from hil.report.run_view import BoardView, RunView
    from hil.report.transcript import ConsoleView

__all__ = ["build_run", "draw_trace", "find_run_folders", "link_to", "read_traces"]

_MOST_LOUD = 50
TESTS_BY_BOARDS = "boards.html"
_BESIDE = ("junit.xml", "console.txt", "ledger.txt", "summary.md")


def build_run(folder: Path) -> RunView | None:
    """Write the pages of the run in an evidence folder, and return the run, or None if there is no evidence.

    Raises:
        OSError: A page cannot be written.
    """
    run = read_run(folder)
    if run is None:
        return None
    consoles = RunConsoles(folder / "console", run.record.key)
    for test in run.tests:
        _write_test(folder, test, consoles)
    for board in run.boards:
        _write_board(folder, board)
    _write_tests_by_boards(folder, run)
    write_below(folder, "summary.md", summary(run), mode=None)
    _write_run(folder, run)  # last, because it links to all others
    return run


def _write_run(folder: Path, run: RunView) -> None:
    write_page(
        folder,
        "index.html",
        "run.html.j2",
        run=run,
        lanes=build_timeline(run.tests),
        facts=list(_run_facts(run)),
        files=_beside(folder),
        kinds=[kind for kind in KINDS if kind[1] in run.counts],
        links=_links(folder),
        most=_MOST_LOUD,
    )


def _write_tests_by_boards(folder: Path, run: RunView) -> None:
    if run.by_boards is not None:
        write_page(
            folder,
            TESTS_BY_BOARDS,
            "tests_by_boards.html.j2",
            run=run,
            table=run.by_boards,
            links=_links(folder),
            most=_MOST_LOUD,
        )


def _links(folder: Path) -> list[tuple[str, str]]:
    """Return the link to the page of all nights, if this run is one of them."""
    return [("../../report/index.html", "All nights")] if _is_night(folder) else []


def _beside(folder: Path) -> list[str]:
    """Return links to the files beside the pages."""
    links = [*_BESIDE, *(f"../{name}" for name in _BESIDE if _is_night(folder))]
    return [link for link in links if (folder / link).is_file()]


def _is_night(folder: Path) -> bool:
    return folder.name == "report" and (folder.parent / "night.json").is_file()


def _write_test(folder: Path, test: RecordedTest, consoles: RunConsoles) -> None:
    began_s = test.began_monotonic_s
    stem = test.stem or file_stem(test.nodeid)
    transcript = read_console_view(consoles, stem) if test.board else None
    traces = read_traces(folder / "power", stem, began_s) if test.board else []
    origin_s = traces[0].began_s if traces else began_s + test.wait_s
    plots = [(_power_facts(trace), draw_trace(trace, transcript, origin_s)) for trace in traces]
    if test.board and test.partners:
        stems = {one.role: file_stem(part_name(test.nodeid, one.role)) for one in test.partners}
        views = {role: read_console_view(consoles, part) for role, part in stems.items()}
        views = {test.board.role: transcript, **views}
        of_boards = [(test.board, trace) for trace in traces]
        for one in test.partners:
            found = read_traces(folder / "power", stems[one.role], began_s)
            of_boards += [(one, trace) for trace in found]
        plots = _plots_on_one_axis(of_boards, views, origin_s)
        transcript = merge_views(views)
    write_page(
        folder,
        f"tests/{file_stem(test.nodeid)}.html",
        "test.html.j2",
        test=test,
        facts=list(_test_facts(test)),
        transcript=transcript,
        plots=plots,
        readings=list(_readings(test)),
        origin_s=origin_s,
    )


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
            draw_trace(replace(trace, began_s=begin_s, ended_s=end_s), views[board.role], origin_s),
        )
        for board, trace in traces
    ]


def _write_board(folder: Path, board: BoardView) -> None:
    write_page(
        folder,
        f"boards/{board_file(board.health.serial)}.html",
        "board.html.j2",
        board=board,
        lanes=build_timeline(board.tests),
        kinds=[kind for kind in KINDS if kind[1] in board.counts],
        facts=[
            ("firmware", board.health.firmware or "unknown"),
            ("kind", "simulated" if board.health.simulated else "real"),
            ("tests", str(len(board.tests))),
            ("need a look", str(len(board.bad))),
            ("used by tests", seconds(board.used_s)),
            ("waited for", seconds(board.waited_s)),
            ("at the end of the run", board.health.state or "unknown"),
        ],
    )


def _run_facts(run: RunView) -> list[tuple[str, str]]:
    record = run.record
    facts = [
        ("began", when(record.began_s)),
        ("ended", when(record.ended_s) if record.ended_s else "unknown"),
        ("exit status", "none" if record.exit_status is None else str(record.exit_status)),
        ("host", record.host),
        ("boards", record.boards_from),
        ("commit", record.commit[:12]),
        ("image", record.image),
        ("planned", ", ".join(f"{number} {kind}" for kind, number in record.planned.items())),
        ("typed", record.command),
    ]
    return [(name, value) for name, value in facts if value]


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
    return f"Mean {mean}, peak {peak:z.2f} W, {len(trace.samples)} readings, {len(trace.gaps)} gaps."


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


_LAYOUTS = ("*/run.json", "*/report/run.json")
"""Paths of run records in a folder of runs; the second is the layout of `hil nightly`."""


def find_run_folders(folders: Iterable[Path], wanted: Iterable[str], trouble: list[str]) -> dict[str, Path]:
    """Return the evidence folder of each wanted run that has one.

    Args:
        folders: Folders of runs, or folders that contain such.
        wanted: Keys of runs.
        trouble: Receives a line for each run whose pages could not be written.
    """
    keys, found = frozenset(wanted), {}
    for folder in folders:
        for kept in _runs_in(folder):
            run = EvidenceFolder(kept).run()
            if run is not None and run.key in keys:
                found[run.key] = kept
                if run.ended_s is None or not (kept / "index.html").is_file():
                    _complete(kept, trouble)
    return found


def link_to(folder: Path, page_folder: Path) -> str:
    """Return the link to a folder from pages in another one."""
    return quote(os.fsencode(os.path.relpath(folder.resolve(), page_folder.resolve())))


def _runs_in(folder: Path) -> list[Path]:
    if (folder / "run.json").is_file():
        return [folder]
    if not folder.is_dir():
        return []
    return sorted(path.parent for pattern in _LAYOUTS for path in folder.glob(pattern))


def _complete(kept: Path, trouble: list[str]) -> None:
    """Write the pages of a run that goes on, or was killed before it wrote them."""
    try:
        build_run(kept)
    except OSError as error:
        trouble.append(f"the pages of {kept} cannot be written: {error}")
