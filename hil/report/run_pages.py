"""Write the pages of one run into its evidence folder: run, tests, boards, and a summary as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.evidence.file_names import file_stem
from hil.report.filters import KINDS, board_file, seconds, when
from hil.report.markdown_summary import summary
from hil.report.pages import write_page
from hil.report.power import draw_trace, read_traces
from hil.report.run_view import read_run
from hil.report.timeline import build_timeline
from hil.report.transcript import read_console_view

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.power.trace import PowerTrace
    from hil.evidence.test_record import RecordedTest
    from hil.report.run_view import BoardView, RunView

__all__ = ["build_run"]

_MOST_LOUD = 50
_BESIDE = ("junit.xml", "console.txt", "ledger.txt", "summary.md")


def build_run(folder: Path) -> RunView | None:
    """Write the pages of the run in an evidence folder, and return the run, or None if there is no evidence.

    Raises:
        OSError: A page cannot be written.
    """
    run = read_run(folder)
    if run is None:
        return None
    for test in run.tests:
        _write_test(folder, test)
    for board in run.boards:
        _write_board(folder, board)
    (folder / "summary.md").write_text(summary(run), encoding="utf-8")
    _write_run(folder, run)  # last, because it links to all others
    return run


def _write_run(folder: Path, run: RunView) -> None:
    write_page(
        folder / "index.html",
        "run.html.j2",
        run=run,
        lanes=build_timeline(run.tests),
        facts=list(_run_facts(run)),
        files=_beside(folder),
        kinds=[kind for kind in KINDS if kind[1] in run.counts],
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


def _write_test(folder: Path, test: RecordedTest) -> None:
    began_s = test.began_monotonic_s
    stem = test.stem or file_stem(test.nodeid)
    transcript = read_console_view(folder / "console", stem) if test.board else None
    traces = read_traces(folder / "power", stem, began_s) if test.board else []
    origin_s = traces[0].began_s if traces else began_s + test.wait_s
    write_page(
        folder / "tests" / f"{file_stem(test.nodeid)}.html",
        "test.html.j2",
        test=test,
        facts=list(_test_facts(test)),
        transcript=transcript,
        plots=[(_power_facts(trace), draw_trace(trace, transcript, origin_s)) for trace in traces],
        origin_s=origin_s,
    )


def _write_board(folder: Path, board: BoardView) -> None:
    write_page(
        folder / "boards" / f"{board_file(board.health.serial)}.html",
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
    board = test.board
    facts = [
        ("began", when(test.began_s)),
        ("took", seconds(test.took_s)),
        ("waited for its board", seconds(test.wait_s) if board else ""),
        ("board", f"{board.serial} {board.name}" if board else ""),
        ("firmware", board.firmware if board else ""),
        ("kind", test.kind),
        ("worker", test.worker),
    ]
    return [(name, value) for name, value in facts if value]


def _power_facts(trace: PowerTrace) -> str:
    if not trace.samples:
        return "The meter gave no reading."
    on, whole, peak = trace.mean_watts_on, trace.mean_watts, trace.peak.watts
    mean = f"{whole:z.2f} W (time with the DUT off included)"
    if on is not None:
        mean = f"{on:z.2f} W while the DUT was on"
    return f"Mean {mean}, peak {peak:z.2f} W, {len(trace.samples)} readings, {len(trace.gaps)} gaps."
