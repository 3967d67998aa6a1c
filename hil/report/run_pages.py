"""Write the pages of one run into its evidence folder: run, tests, boards, and a summary as Markdown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from hil.evidence.console_slices import RunConsoles
from hil.evidence.run_folder import EvidenceFolder
from hil.lab.files.atomic_file import write_below
from hil.report.filters import KINDS, board_file, seconds, when
from hil.report.markdown_summary import summary
from hil.report.page_of_test_in_run import write_test_in_run
from hil.report.pages import write_page
from hil.report.run_view import read_run
from hil.report.timeline import build_timeline

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hil.report.run_view import BoardView, RunView

__all__ = ["build_run", "find_run_folders", "link_to"]

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
        write_test_in_run(folder, test, consoles, _nights(folder))
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
        nights=_nights(folder),
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
            nights=_nights(folder),
            most=_MOST_LOUD,
        )


def _nights(folder: Path) -> str:
    """Return the link to the page of all nights; empty if this run is not one of them."""
    return "../../report/index.html" if _is_night(folder) else ""


def _beside(folder: Path) -> list[str]:
    """Return links to the files beside the pages."""
    links = [*_BESIDE, *(f"../{name}" for name in _BESIDE if _is_night(folder))]
    return [link for link in links if (folder / link).is_file()]


def _is_night(folder: Path) -> bool:
    return folder.name == "report" and (folder.parent / "night.json").is_file()


def _write_board(folder: Path, board: BoardView) -> None:
    write_page(
        folder,
        f"boards/{board_file(board.health.serial)}.html",
        "board.html.j2",
        board=board,
        lanes=build_timeline(board.tests, board.health.serial),
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
        nights=_nights(folder),
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
