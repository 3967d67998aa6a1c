"""Keep the console of every test that uses a board, show it in failures, and fail tests for console trouble.

`hil.evidence` has the files; this plugin calls it around tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.dutlink.console.allowlist import compile_error_patterns
from hil.dutlink.console.board_shell import ends_in_shell
from hil.dutlink.console.sanitize import sanitize_text
from hil.errors import HilError
from hil.evidence.console_capture import ConsoleCapture
from hil.evidence.console_file import ConsoleFolder
from hil.evidence.console_recorder import ConsoleRecorder
from hil.evidence.timestamped_log import SHORT_LEGEND
from hil.suite.hook_errors import contained, told
from hil.suite.markers import TROUBLE_MARKER, Kind, kind_of, requirement_of
from hil.suite.recording.console_report import CONSOLE_FOLDER, SECTION
from hil.suite.recording.evidence_names import evidence_names
from hil.suite.recording.identity import run_record_of
from hil.suite.recording.sanitize import make_plain

if TYPE_CHECKING:
    import re
    from collections.abc import Generator, Sequence

    from hil.dutlink.board import Board
    from hil.dutlink.console.allowlist import ErrorLine
    from hil.dutlink.console.console import Console
    from hil.suite.boards.lifecycle import BoardLifecycle
    from hil.suite.options import RunOptions
    from hil.suite.outcome.ledger import Ledger

__all__ = ["ConsoleEvidence", "KeptWhere", "keep_consoles"]

_SHOWN_LINES: Final = 8
_PROPERTY: Final = "hil_console"
_SHELL_BYTES: Final = 64 * 1024
"""How far back to search for the output of a board that left console mode."""


def keep_consoles(config: pytest.Config, boards: BoardLifecycle, options: RunOptions, ledger: Ledger) -> None:
    """Register the plugin that keeps and watches the consoles of tests."""
    folder = options.report / CONSOLE_FOLDER if options.report is not None else None
    kept_in = ConsoleFolder(folder, run_record_of(config).key) if folder is not None else None
    kept = KeptWhere(kept_in, getattr(config, "cache", None))  # no cache with -p no:cacheprovider
    config.pluginmanager.register(ConsoleEvidence(boards, kept, ledger), "hil-console-evidence")


@dataclass(frozen=True, slots=True)
class KeptWhere:
    """Where consoles are kept.

    Attributes:
        report: For the console of every test; None: only those of failed tests are kept.
        cache: pytest's cache, for the consoles of failed tests; None: there is no cache.
    """

    report: ConsoleFolder | None
    cache: pytest.Cache | None

    def of_failed(self) -> Path | None:
        """Return the folder for the console of a failed test, or None."""
        if self.report is not None:
            return self.report.folder
        if self.cache is None:
            return None
        return Path(self.cache.mkdir("hil-console"))


@dataclass(slots=True)
class _KeptConsole:
    """The console of a held board.

    Attributes:
        board: The board.
        recorder: Keeps its output.
        test: The part of the present test; None between two tests.
        last: The part of the last test on it.
    """

    board: Board
    recorder: ConsoleRecorder
    test: ConsoleCapture | None = None
    last: ConsoleCapture | None = None


class ConsoleEvidence:
    """Keeps each test's console, and attaches its end to a failure.

    Args:
        boards: This process's board.
        kept: Where to keep consoles.
        ledger: Takes what the summary should tell; a full disk fails no test.
    """

    def __init__(self, boards: BoardLifecycle, kept: KeptWhere, ledger: Ledger) -> None:
        self._boards = boards
        self._kept = kept
        self._ledger = ledger
        self._consoles: list[_KeptConsole] = []
        self._latest = ""

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside the wrapper that acquires the board
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool | None, bool | None]:
        """Mark the beginning and the end of a test on the console."""
        boards = [] if kind_of(item) is Kind.NO_HARDWARE else self._boards.usable_boards()
        if not boards:
            return (yield)
        with contained(partial(self._not_kept, item.nodeid)):
            self._begin(item, boards)
        try:
            return (yield)
        finally:
            for kept in self._consoles:
                test, kept.test = kept.test, None
                if test is not None:
                    kept.last = test
                    self._end(test, kept.recorder)

    @property
    def _tests(self) -> list[ConsoleCapture]:
        """The parts of the present test, the first board's first."""
        return [kept.test for kept in self._consoles if kept.test is not None]

    @pytest.hookimpl(wrapper=True, trylast=True)  # an error of the body goes first
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that passed although its console showed trouble."""
        result = yield
        self._fail_on_trouble(item)
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail it for trouble in its tear-down, too."""
        result = yield
        self._fail_on_trouble(item)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show the console in the report of a failure."""
        tests = self._tests
        fails = call.excinfo is not None and not call.excinfo.errisinstance(_SKIP)
        for test in tests if fails else ():
            with contained(partial(self._not_kept, item.nodeid)):
                test.unreported += test.take_errors(_expected(item))  # the test's own failure stands
        report = yield
        for test in tests if report.failed else ():
            with contained(partial(self._not_kept, item.nodeid)):
                self._show(test, item, report)
        if tests:
            make_plain(report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # the board is released inside
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Complete the files; note trouble after the last test while a worker can still send it."""
        for kept in self._consoles:
            with contained(partial(self._not_kept, "the last test")):
                self._tell_late_trouble(kept)
        try:
            return (yield)
        finally:
            for kept in self._consoles:
                with contained(partial(self._not_kept, "the last test")):
                    self._close(kept)
            self._consoles = []

    def _begin(self, item: pytest.Item, boards: Sequence[Board]) -> None:
        again = item.nodeid == self._latest
        self._latest = item.nodeid
        self._follow(boards)
        if self._kept.report is not None:
            _note(item, item.user_properties, self._kept.report.raw_of(boards[0].serial))
        for kept, name in zip(self._consoles, evidence_names(item), strict=False):
            board = kept.board
            unread = _start_reading(board.console)
            test = ConsoleCapture(kept.recorder, board, name, kept.last, again=again)
            if unread:
                board.console.transcript.mark(f"the console is not read: {unread}")
            for finding in test.strays:
                told = f"between {kept.last} and {name}, {test.board_name}: {_told(finding)}"
                self._ledger.remarks.append(told)
            kept.test = test
            if self._kept.report is not None and not again:
                test.path_in(self._kept.report.folder).unlink(missing_ok=True)  # an earlier run's

    def _follow(self, boards: Sequence[Board]) -> None:
        """Keep the consoles of these boards, in their order; others may have been released."""
        known = {id(kept.board): kept for kept in self._consoles}
        for kept in self._consoles:
            if not any(kept.board is board for board in boards):
                self._close(kept)
        self._consoles = [known.get(id(board)) or self._start_keeping(board) for board in boards]

    def _start_keeping(self, board: Board) -> _KeptConsole:
        held = self._boards.release.all_held
        watch = next((one.watch for one in held if one.board is board), ())
        return _KeptConsole(board, ConsoleRecorder(board.console, board.serial, self._kept.report, watch))

    def _tell_late_trouble(self, kept: _KeptConsole) -> None:
        """Note trouble after the last test on a board: it is no test's failure, but worth knowing."""
        if kept.last is not None:
            where = f"after {kept.last.nodeid}, {kept.last.board_name}"
            self._ledger.remarks += [f"{where}: {_told(one)}" for one in kept.last.take_late_errors()]

    def _close(self, kept: _KeptConsole) -> None:
        self._tell_late_trouble(kept)
        kept.recorder.close()

    def _end(self, test: ConsoleCapture, recorder: ConsoleRecorder) -> None:
        """Complete the test's part of the files, and write the console of a failed test for people."""
        with contained(partial(self._not_kept, test.nodeid)):
            test.end()
            if left_out := recorder.take_left_out_bytes():
                self._ledger.not_kept.append(
                    f"{left_out} bytes of the console of {test.nodeid}: it said too much to keep it all"
                )
            if test.failed and (folder := self._kept.of_failed()) is not None:
                test.write_text(folder, with_bytes=self._kept.report is None)

    def _not_kept(self, test: str, error: BaseException) -> None:
        why = error if isinstance(error, OSError) else told(error)
        self._ledger.not_kept.append(f"the console of {test} cannot be kept: {why}")

    def _fail_on_trouble(self, item: pytest.Item) -> None:
        """Fail the present test if its console showed trouble.

        Raises:
            pytest.fail.Exception: There was trouble that the test does not expect.
        """
        found = [error for test in self._tests for error in test.take_errors(_expected(item))]
        if found:
            lines = "".join(f"\n  {_told(finding)}" for finding in found)
            pytest.fail(
                f"the DUT's console showed trouble that this test does not expect:{lines}\n"
                f"  try: @pytest.mark.{TROUBLE_MARKER}({found[0].name!r}), if it provokes that",
                pytrace=False,
            )

    def _show(self, test: ConsoleCapture, item: pytest.Item, report: pytest.TestReport) -> None:
        """Add the console to a report."""
        test.failed = True
        title = f"{SECTION} of {test.board_name}{self._role_of(test, item)}"
        if test.unreported:
            lines = "\n".join(map(_told, test.unreported))
            report.sections.append((f"{title}: trouble", lines))
            test.unreported = []
        folder = self._kept.of_failed()
        rest = "run with --hil-report DIR to keep all of it"
        if folder is not None:
            rest = f"all of it: {_from_root(item, test.path_in(folder))}"
            for properties in (item.user_properties, report.user_properties):
                _note(item, properties, test.path_in(folder))
        newest = test.newest_lines(_SHOWN_LINES)
        legend = f": {SHORT_LEGEND}" if newest else ""
        lines = "\n".join(newest) or "it said nothing"
        report.sections.append((f"{title}{legend}", f"{lines}\n({rest})"))

    def _role_of(self, test: ConsoleCapture, item: pytest.Item) -> str:
        """Return what a test that uses several boards calls this one, after a comma; else an empty text."""
        requirement = requirement_of(item, "")
        roles = requirement.roles if requirement is not None and requirement.partners else ()
        return next((f", {role}" for role, one in zip(roles, self._tests, strict=False) if one is test), "")


_SKIP: Final = pytest.skip.Exception


def _start_reading(console: Console) -> str:
    """Make sure that the console is read and in console mode, whatever an earlier test did.

    Returns:
        Why it is not read; empty if it is. That does not matter to a test that does not use it.
    """
    try:
        console.open(wait_s=0.0)
        console.drain()
        if ends_in_shell(console.transcript.between(console.transcript.position - _SHELL_BYTES)):
            console.restore_console_mode()  # the board ignores the Ctrl-B there: the DUT is not disturbed
    except HilError as error:
        return error.what
    return ""


def _from_root(item: pytest.Item, path: Path) -> Path:
    """Return a path as node ids have it, relative to the root folder; outside of that as it is."""
    root = item.config.rootpath
    return path.relative_to(root) if path.is_relative_to(root) else path


def _note(item: pytest.Item, properties: list[tuple[str, object]], path: Path) -> None:
    """Note the file with a test's console for JUnit; that of the first board on which it fails stays."""
    if not str(dict(properties).get(_PROPERTY, "")).endswith(".txt"):
        properties[:] = [entry for entry in properties if entry[0] != _PROPERTY]
        properties.append((_PROPERTY, str(_from_root(item, path))))


def _expected(item: pytest.Item) -> list[list[re.Pattern[bytes]]]:
    """Return the trouble that a test's markers expect; they were checked at collection."""
    markers = item.iter_markers(TROUBLE_MARKER)
    return [compile_error_patterns(marker.args, f"the marker {TROUBLE_MARKER}") for marker in markers]


def _told(finding: ErrorLine) -> str:
    return f"{sanitize_text(finding.name)}: {finding.line}"
