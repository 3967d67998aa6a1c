"""Run one night: all tests that need a board, with nothing excused and everything recorded.

The night is recorded in the history before pytest starts, and its end after pytest has ended in any way. So a
night that never reached its first test is red in the history.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hil.errors import HilError, UsageError
from hil.evidence.records import RunRecord
from hil.history.nights import NIGHTLY
from hil.history.sqlite import find_damage, rename_damaged
from hil.history.store import History
from hil.history.window import Window
from hil.lab.config.lab_file import find_lab
from hil.lab.files.atomic_file import write_below
from hil.lab.files.trusted_path import refuse_untrusted
from hil.lab.locks.holder import utc_now
from hil.nightly.run_folder import NightRecord, explain_status, marked_as_running, new_folder
from hil.nightly.tee_process import run_tee
from hil.suite.outcome.exit_status import Status
from hil.suite.plugin import END_WITH
from hil.suite.recording.identity import commit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ledger_in", "pytest_arguments", "run_night", "simulated_boards"]

_NO_LEDGER = "no ledger\n"
_BOARD_IN_LEDGER = re.compile(r"^board .+: [1-9]\d* tests? ran$", re.MULTILINE)
_SIMULATED_IN_LEDGER = re.compile(r"^board .+, SIMULATED: ", re.MULTILINE)
_BOARD_IN_JUNIT = '<property name="hil_boards" value="board '
_AS_OWNER = "run it as the folder's owner, as hil nightly install does"


def run_night(
    parent: Path,
    more: Sequence[str],
    terminal: BinaryIO,
    tell: Callable[[str], None],
    *,
    simulated: bool = False,
) -> NightRecord:
    """Run a night in the present folder and return its record.

    Args:
        parent: The folder of the nights and their history.
        more: Further arguments for pytest, which override those of every night.
        terminal: The terminal for pytest's output.
        tell: Called with each line for the user.
        simulated: Whether to use simulated boards if only the environment asks for them.

    Raises:
        UsageError: The night's folder cannot be created.
        UntrustedFileError: The process is root's, and other users decide which tests run, or what is in
            `parent`.
    """
    refuse_untrusted(Path.cwd(), "the tests' folder", _AS_OWNER)
    refuse_untrusted(parent.absolute(), "the nights' folder", _AS_OWNER)
    folder, key = _begin(parent.absolute()), uuid.uuid4().hex
    real = () if simulated else ("--hil-real",)
    command = (sys.executable, "-m", "pytest", *pytest_arguments(folder, key), *real, *more)
    boards = simulated_boards(more, os.environ)
    record = NightRecord(began=utc_now(), command=command, folder=str(folder), simulated=boards)
    if boards:
        tell(f"SIMULATED boards ({boards}): this night tells nothing about real ones")
    _keep(record, tell)
    tell(f"this night is kept in {folder}")
    _replace_damaged_history(folder.parent / "history.db", tell)
    _enter(folder, key, tell)
    with marked_as_running(folder):
        status = run_tee(command, _environ(), folder / "console.txt", terminal)
    ledger = ledger_in(_read(folder / "console.txt"))
    if status == Status.GREEN:
        status = _prove_green(folder, ledger, tell)
    _end(folder, key, status, tell)
    if not boards and _SIMULATED_IN_LEDGER.search(ledger):
        boards = "sim"  # pytest's own settings asked for them
    ended = replace(record, ended=utc_now(), status=status, meaning=explain_status(status), simulated=boards)
    _keep(ended, tell, ledger)
    _report(folder.parent, tell, simulated=bool(boards))
    return ended


def pytest_arguments(folder: Path, key: str) -> list[str]:
    """Return the pytest arguments of every night.

    Args:
        folder: The night's folder.
        key: Key of the run in the history.
    """
    return [
        *("-m", "hardware or mixed", "-n", "auto"),
        *("--hil-require", "--hil-whole-lab", "--hil-repeat=1"),
        f"--hil-report={folder / 'report'}",
        f"--junit-xml={folder / 'junit.xml'}",
        f"--hil-history={folder.parent / 'history.db'}",
        f"--hil-history-kind={NIGHTLY}",
        f"--hil-history-key={key}",
    ]


def simulated_boards(more: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the simulated boards of a night, as `--hil-boards` has them; empty for other boards or none.

    Args:
        more: The night's further pytest arguments, which override the environment.
        environ: The environment; its `PYTEST_ADDOPTS` are arguments, too.
    """
    asked = environ.get("HIL_BOARDS", "")
    for argument, following in itertools.pairwise([*environ.get("PYTEST_ADDOPTS", "").split(), *more, ""]):
        if argument == "--hil-boards":
            asked = following
        elif argument.startswith("--hil-boards="):
            asked = argument.partition("=")[2]
    return asked if asked.startswith("sim") else ""


def ledger_in(console: str) -> str:
    """Return the ledger's lines in pytest's output; `no ledger` if pytest ended before it printed one."""
    after_title = re.split(r"^=+ hil: hardware ledger =+\s*$", console, maxsplit=1, flags=re.MULTILINE)[1:]
    lines = "".join(after_title).lstrip().splitlines(keepends=True)
    return "".join(itertools.takewhile(lambda line: not line.startswith("==="), lines)) or _NO_LEDGER


def _prove_green(folder: Path, ledger: str, tell: Callable[[str], None]) -> int:
    """Return the status of a night whose pytest ended with 0: green only if its ledger has a test that ran.

    JUnit's file has the ledger, too, and is enough.
    """
    junit = _read(folder / "junit.xml")
    if _BOARD_IN_LEDGER.search(ledger) or _BOARD_IN_JUNIT in junit:
        return int(Status.GREEN)
    if ledger == _NO_LEDGER and not junit:
        tell("pytest ended with status 0 before its summary: something ended its process from C code")
        return int(Status.INTERRUPTED)
    tell("pytest ended with status 0, but no test ran on a board: look for --collect-only or --setup-plan")
    return int(Status.NOTHING_RAN)


def _read(path: Path) -> str:
    """Return the text of a file that pytest wrote; empty if there is none."""
    return path.read_text("utf-8", errors="replace") if path.exists() else ""


def _begin(parent: Path) -> Path:
    try:
        return new_folder(parent)
    except OSError as error:
        raise UsageError(
            f"no night can be kept in {parent}",
            why=str(error.strerror),
            remedy="check free space and permissions there, or give another --folder",
        ) from error


def _keep(record: NightRecord, tell: Callable[[str], None], ledger: str = "") -> None:
    """Write the record, and the ledger if pytest has ended; a full disk does not end the night."""
    folder = Path(record.folder)
    try:
        record.write()
        if ledger and (folder / "console.txt").is_file():
            write_below(folder, "ledger.txt", ledger, mode=None)
    except OSError as error:
        tell(f"{folder} has no record of the night: {error}")


def _environ() -> dict[str, str]:
    """Return the environment that makes pytest end as soon as this process has ended."""
    return {**os.environ, END_WITH: str(os.getpid())}


def _replace_damaged_history(path: Path, tell: Callable[[str], None]) -> None:
    """Rename a damaged history, so that this night is recorded in a new one."""
    if damage := find_damage(path):
        try:
            kept = rename_damaged(path)
            tell(f"the history {path} is damaged ({damage}): renamed to {kept}; a new one is started")
        except OSError as error:
            tell(f"the history {path} is damaged ({damage}), and cannot be renamed: {error}")


def _enter(folder: Path, key: str, tell: Callable[[str], None]) -> None:
    """Record the night's start in the history before pytest starts, which adds more facts."""
    boards = 0
    with suppress(HilError):  # pytest reports errors of the lab file
        boards = len(find_lab(None, Path.cwd()).places)
    commit = os.environ.get("HIL_COMMIT") or commit_of(Path.cwd())
    run = RunRecord(key, time.time(), socket.gethostname(), NIGHTLY, commit, expected_boards=boards)
    try:
        with History(folder.parent / "history.db") as history:
            history.begin_run(run)
    except HilError as error:
        tell(f"this night is not in the history: {error}")


def _end(folder: Path, key: str, status: int, tell: Callable[[str], None]) -> None:
    """Record the night's end and exit status in the history."""
    try:
        with History(folder.parent / "history.db") as history:
            history.close_run(key, time.time(), status)
    except HilError as error:
        tell(f"this night's end is not in the history: {error}")


def _report(parent: Path, tell: Callable[[str], None], *, simulated: bool) -> None:
    """Write the pages of all nights; an error is shown and does not fail the night."""
    from hil.report.night_pages import build_nights  # noqa: PLC0415 - templates are needed only at the end

    try:
        with History(parent / "history.db") as history:
            window = Window(history, kind=NIGHTLY, now_s=time.time())
            built = build_nights(window, parent / "report", [parent], simulated=simulated)
    except (HilError, OSError) as error:
        tell(f"the page of all nights cannot be written: {error}")
    else:
        tell(f"{built.headline}: {built.page}")
