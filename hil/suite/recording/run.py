"""Keep the record of a run, in the controller: at its beginning, and at its end."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hil.errors import UsageError
from hil.evidence.records import UNCOLLECTED, BoardHealth, RecordedAttempt, RecordedTest, file_stem
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.safe_state.record import read_record
from hil.suite.outcome.ledger import CRASHED
from hil.suite.outcome.ledger_report import loud_line, summary_lines
from hil.suite.recording.identity import run_record_of
from hil.suite.recording.phases import attempt_to_collect

if TYPE_CHECKING:
    from hil.evidence.run_folder import EvidenceFolder
    from hil.evidence.used_board import UsedBoard
    from hil.suite.outcome.ledger import Ledger

__all__ = ["RunRecorder"]


class RunRecorder:
    """Writes the record of a run into the folder of its evidence.

    Args:
        config: The run.
        folder: Its evidence.
        ledger: Its ledger, which also takes what cannot be kept.
        boards_from: Where the boards are, as a person reads it.
    """

    def __init__(
        self, config: pytest.Config, folder: EvidenceFolder, ledger: Ledger, boards_from: str
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        command = shlex.join(["pytest", *sys.argv[1:]])
        self._run = replace(run_record_of(config), command=command, boards_from=boards_from)

    def pytest_sessionstart(self) -> None:
        """Write the record of the beginning: it stays if the run is killed."""
        self._keep()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected as a failed test with the name of the file."""
        if not report.failed:
            return
        now_s, stem = time.time(), file_stem(report.nodeid)
        facts = RecordedTest(
            report.nodeid, self._run.key, UNCOLLECTED, stem=stem, began_s=now_s, ended_s=now_s
        )
        facts.attempts.append(attempt_to_collect(report))
        try:
            self._folder.write_test(facts)
        except OSError as error:
            self._ledger.not_kept.append(
                f"why {report.nodeid} could not be collected cannot be kept: {error}"
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Complete the record of a test that crashed its worker: the worker cannot."""
        if report.when != CRASHED:
            return
        facts = self._folder.test(report.nodeid, self._run.key)
        if facts is not None:
            words = str(report.longrepr)
            facts.attempts.append(RecordedAttempt(len(facts.attempts) + 1, "error", "", words, words))
            with suppress(OSError):  # the record of its beginning stays
                self._folder.write_test(facts)

    @pytest.hookimpl(trylast=True)  # after the last board was released
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the record of the end."""
        ledger = self._ledger
        self._run = replace(
            self._run,
            ended_s=time.time(),
            exit_status=int(session.exitstatus),
            boards=self._boards(),
            ledger=summary_lines(ledger),
            loud=loud_line(ledger) if ledger.records else "",
            planned={kind.value: number for kind, number in ledger.planned.items()},
            vanished=len(ledger.vanished),
            dropped=len(ledger.dropped),
            trouble=[*ledger.late_errors, *ledger.trouble, *ledger.safe_since, *ledger.not_kept],
        )
        self._keep()

    def _boards(self) -> list[BoardHealth]:
        used = {board.serial: board for board in self._ledger.boards()}
        for record in self._ledger.records.values():  # also boards on which every test failed
            for board in record.boards:
                used.setdefault(board.serial, board)
        return [_health(board) for board in used.values()]

    def _keep(self) -> None:
        try:
            self._folder.write_run(self._run)
        except OSError as error:
            self._ledger.not_kept.append(f"what the run was cannot be kept: {error}")


def _health(board: UsedBoard) -> BoardHealth:
    """Add state and events from the board's record on this machine."""
    known = BoardHealth(board.serial, board.firmware, board.name, board.simulated)
    with suppress(OSError, UsageError):
        record = read_record(lock_folder(), board.serial)
        return replace(known, state=record.state.value, events=tuple(map(str, record.events)))
    return known
