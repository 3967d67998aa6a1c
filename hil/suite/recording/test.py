"""Keep a record of each test, in the process that runs it: before it begins, and after it has ended.

If the process of a test is killed, the first record stays: it tells what ran, where, and since when.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RecordedTest, file_stem
from hil.suite.columns.column import column_of
from hil.suite.markers import KIND, Kind
from hil.suite.outcome.user_properties import boards_of
from hil.suite.recording.identity import run_record_of
from hil.suite.recording.phases import attempt_of
from hil.suite.xdist.costs import without_group

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.dutlink.board import Board
    from hil.evidence.run_folder import EvidenceFolder
    from hil.suite.boards.lifecycle import BoardLifecycle

__all__ = ["ResultRecorder"]


class ResultRecorder:
    """Writes the record of each test. Its wrapper is outermost, so that waiting for the board counts, too.

    Args:
        config: The run.
        boards: This process's board.
        folder: The evidence.
        not_kept: Takes what cannot be written; a full disk fails no test.
    """

    def __init__(
        self, config: pytest.Config, boards: BoardLifecycle, folder: EvidenceFolder, not_kept: list[str]
    ) -> None:
        self._boards = boards
        self._folder = folder
        self._run = run_record_of(config).key
        self._worker: str = getattr(config, "workerinput", {}).get("workerid", "")
        self._grouped = getattr(config.option, "loadgroup", False)  # xdist appends groups to node ids
        self._not_kept = not_kept
        self._facts: RecordedTest | None = None
        self._item: pytest.Item | None = None
        self._board: Board | None = None
        self._phases: list[pytest.TestReport] = []
        self._over_s: float | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool | None, bool | None]:
        """Keep the record of a test; a repetition inside it is part of the same record."""
        if self._facts is not None:
            return (yield)
        facts = self._facts = self._begin(item)
        self._item = item
        self._keep(facts)
        try:
            return (yield)
        finally:
            self._end(item, facts)
            self._keep(facts)
            self._facts = self._board = self._item = None

    def pytest_runtest_logstart(self) -> None:
        """Note the board and how long the test waited for it: a killed process cannot do that later."""
        facts = self._facts
        if facts is not None and self._item is not None and not facts.wait_s:
            facts.wait_s = time.monotonic() - facts.began_monotonic_s
            self._board = self._boards.usable_board()
            if self._board is not None:
                self._note_board(self._item, facts)
                self._keep(facts)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase; a set-up after other phases begins another attempt."""
        if self._facts is None:  # the controller gets the reports of all tests and runs none
            return
        if report.when == "setup":
            self._end_attempt(self._facts)
        self._phases.append(report)

    def pytest_runtest_logfinish(self) -> None:
        """Note when the test itself was over; after that the board is released."""
        if self._facts is not None:
            self._over_s = time.monotonic()

    def _begin(self, item: pytest.Item) -> RecordedTest:
        """Start a record, or continue that of the same test, earlier in this run."""
        nodeid = without_group(item.nodeid) if self._grouped else item.nodeid
        earlier = self._folder.test(nodeid, self._run)
        facts = RecordedTest(
            nodeid=nodeid,
            run=self._run,
            column=column.name if (column := column_of(item)) else "",
            image_label=column.label if column else "",
            kind=getattr(item, KIND, Kind.NO_HARDWARE).value,
            worker=self._worker,
            stem=file_stem(item.nodeid),
            began_s=earlier.began_s if earlier else time.time(),
            began_monotonic_s=time.monotonic(),
            attempts=earlier.attempts if earlier else [],
        )
        self._phases, self._over_s = [], None
        return facts

    def _end_attempt(self, facts: RecordedTest) -> None:
        if self._phases:
            facts.attempts.append(attempt_of(self._phases, len(facts.attempts) + 1))
            self._phases = []

    def _end(self, item: pytest.Item, facts: RecordedTest) -> None:
        self._end_attempt(facts)
        facts.ended_s = time.time()
        facts.give_back_s = time.monotonic() - self._over_s if self._over_s is not None else 0.0
        if self._board is not None:
            facts.requests = self._board.requests.since(facts.began_monotonic_s)
        self._note_board(item, facts)

    def _note_board(self, item: pytest.Item, facts: RecordedTest) -> None:
        told = {name: str(value) for name, value in item.user_properties}
        facts.unasked = "hil_unasked" in told
        facts.image = told.get("hil_image", "")
        if boards := boards_of(told):
            facts.board, *facts.partners = boards

    def _keep(self, facts: RecordedTest) -> None:
        try:
            self._folder.write_test(facts)
        except OSError as error:
            self._not_kept.append(f"what became of {facts.nodeid} cannot be kept: {error}")
