"""`hil report`: make the pages of all nights or of one run."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hil.cli.history_options import history_file, kind_of_runs, newest_nights, open_history, select_window
from hil.cli.result import Answer
from hil.dutlink.console.sanitize import sanitize_text
from hil.errors import ReportError
from hil.nearest import nearest
from hil.regular_file import check_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["report"]

_OF_NIGHTS: Final = "report"
"""The folder with the pages of all nights, beside the history."""


@click.command()
@click.argument("out", metavar="[OUT]", required=False, type=click.Path(file_okay=False, path_type=Path))
@history_file("--history")
@newest_nights(60)
@kind_of_runs
@click.option(
    "--runs",
    "folders",
    multiple=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of a run, or of such folders; may be repeated. Default: beside the history.",
)
@click.option(
    "--console",
    "test",
    metavar="TEST",
    help="Print the console of tests with TEST in their names, of the run in OUT, and make no pages.",
)
def report(  # noqa: PLR0913 - by keyword, from click
    *, out: Path | None, path: Path, nights: int, kind: str, folders: tuple[Path, ...], test: str | None
) -> Answer:
    r"""Make static pages in OUT: new, failing, flaky and slower tests; tests by nights; boards.

    The default for OUT is the folder of the nights: `report` beside the history. OUT may also be a folder
    that `pytest --hil-report` wrote; then the pages of that run are made again, for a run that was killed
    before it could make them.

    \b
    hil report
    hil report --history nightly/history.db --nights 30 --runs nightly public
    hil report nightly/2026-11-23T013000Z/report
    hil report nightly/2026-11-23T013000Z --console test_boot
    """
    from hil.lab.files.trusted_path import refuse_untrusted  # noqa: PLC0415 - imported on use

    out = _meant(out or path.parent / _OF_NIGHTS)
    _check(out)
    if test is not None:
        return _console(out, test)
    refuse_untrusted(out, "the folder", "run it as its owner")
    with _translated(out):
        if (out / "run.json").is_file():
            return _one_run(out)
        return _all_nights(out, path, nights, kind, folders)


def _check(out: Path) -> None:
    try:
        check_folder(out)
    except OSError as error:
        why = str(error.strerror)
        remedy = "name a folder, or a path where there is nothing yet"
        raise ReportError(f"{out} cannot be a folder of pages", why=why, remedy=remedy) from error


def _meant(out: Path) -> Path:
    """Return the folder of the pages; the `report` folder of a night takes only the pages of its run."""
    folder = out / "report" if (out / "night.json").is_file() else out
    if (folder.parent / "night.json").is_file() and not (folder / "run.json").is_file():
        raise ReportError(
            f"there is no run in {folder}",
            why="that night ended before pytest wrote anything",
            remedy=f"see {folder.parent / 'console.txt'}; hil report, for the page of all nights",
        )
    if folder.exists() or folder.name == _OF_NIGHTS:
        return folder
    nights = _names_beside(folder, "night.json")
    near = nearest(folder.name, [*nights, *_names_beside(folder, "run.json")])
    if nights or near:
        raise ReportError(
            f"there is no run in {folder}",
            why=f"it does not exist, and {folder.parent} holds runs, where no other pages belong",
            remedy=f"hil report {folder.parent / (near or max(nights))}, or hil report for all nights",
        )
    return folder


def _names_beside(folder: Path, part: str) -> list[str]:
    """Return the names of the folders beside a folder that have a file called `part`."""
    if not folder.parent.is_dir():
        return []
    return [beside.name for beside in folder.parent.iterdir() if (beside / part).is_file()]


def _console(folder: Path, test: str) -> Answer:
    from hil.report.transcript import read_console_texts  # noqa: PLC0415 - imported on use

    try:
        texts = read_console_texts(folder, test)
    except OSError as error:
        raise ReportError(
            f"the consoles in {folder} cannot be read", why=str(error), remedy="check permissions"
        ) from error
    if not texts:
        raise ReportError(
            f"{folder} has no console of a test with {test!r} in its name",
            why="no such test used a board, or this is not the folder of a run",
            remedy="name the folder that pytest --hil-report wrote, and a part of a test's name",
        )
    parts = [f"# {sanitize_text(name)}\n{text}" for name, text in texts.items()]
    return Answer(texts, text="\n".join(parts).rstrip("\n"))


def _one_run(folder: Path) -> Answer:
    from hil.report.run_pages import build_run  # noqa: PLC0415 - imported on use
    from hil.text_table import counted  # noqa: PLC0415 - imported on use

    run = build_run(folder)
    if run is None:
        raise ReportError(
            f"{folder} has no readable run",
            why="its run.json and all of its tests are damaged",
            remedy="run again with --hil-report",
        )
    page = folder / "index.html"
    data = {"page": str(page), "tests": len(run.tests), "headline": run.headline}
    return Answer(data, text=f"Made {page}, of {counted(len(run.tests), 'test')}: {run.headline}")


def _all_nights(out: Path, path: Path, nights: int, kind: str, folders: tuple[Path, ...]) -> Answer:
    from hil.report.night_pages import build_nights  # noqa: PLC0415 - imported on use
    from hil.text_table import counted  # noqa: PLC0415 - imported on use

    with open_history(path) as kept:
        built = build_nights(select_window(kept, nights, kind), out, folders or (path.parent,))
    said: dict[str, Any] = {
        "page": str(built.page),
        "runs": built.runs,
        "tests": built.tests,
        "runs_with_pages": built.kept,
        "headline": built.headline,
    }
    shown = f"{counted(built.runs, 'run')} and {counted(built.tests, 'test')}"
    lines = [f"Made {built.page}, of {shown}: {built.headline}"]
    return Answer(
        said | ({"trouble": built.trouble} if built.trouble else {}), text="\n".join([*lines, *built.trouble])
    )


@contextmanager
def _translated(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportError(
            f"the report cannot be written to {out}",
            why=str(error),
            remedy="check free space and permissions, or name another folder",
        ) from error
