"""The content of the pages of one run, read from its evidence folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hil.evidence.records import UNCOLLECTED, BoardHealth, RunRecord
from hil.evidence.run_folder import EvidenceFolder
from hil.evidence.used_board import natural_key
from hil.history.nights import status_words
from hil.history.suspects import Everywhere
from hil.report.filters import OUTCOMES
from hil.report.tests_by_boards import build_tests_by_boards
from hil.text_table import counted

if TYPE_CHECKING:
    from pathlib import Path

    from hil.evidence.records import RecordedTest
    from hil.report.tests_by_boards import TestsByBoards

__all__ = ["BoardView", "RunView", "read_run"]


@dataclass(frozen=True, slots=True)
class BoardView:
    """A board in a run.

    Attributes:
        health: Its record at the end of the run.
        tests: The tests that used it.
    """

    health: BoardHealth
    tests: list[RecordedTest]

    @property
    def label(self) -> str:
        """Its name and serial number."""
        return self.health.label

    @property
    def bad(self) -> list[RecordedTest]:
        """Tests that a person should look at, see `RecordedTest.needs_attention`."""
        return [one for one in self.tests if one.needs_attention]

    @property
    def used_s(self) -> float:
        """Seconds of its tests' phases."""
        return sum(one.took_s for one in self.tests)

    @property
    def waited_s(self) -> float:
        """Seconds that its tests waited for it."""
        return sum(one.wait_s for one in self.tests)

    @property
    def counts(self) -> dict[str, int]:
        """Number of its tests by outcome, failures first."""
        return count(self.tests)


@dataclass
class RunView:
    """A run.

    Attributes:
        record: The run's record.
        tests: Its tests, in the order of their start.
    """

    record: RunRecord
    tests: list[RecordedTest]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of tests by outcome, failures first."""
        return count(self.tests)

    @cached_property
    def bad(self) -> list[RecordedTest]:
        """Tests that a person should look at, see `RecordedTest.needs_attention`."""
        bad = (one for one in self.tests if one.needs_attention)
        return sorted(bad, key=lambda one: (one.kind != UNCOLLECTED, OUTCOMES.index(one.outcome)))

    @cached_property
    def everywhere(self) -> dict[str, list[RecordedTest]]:
        """The tests that need a look, of each finding that blames a test and no board or image."""
        if self.by_boards is None:
            return {}
        found = self.by_boards.suspicions
        blamed = {one.value for one in found if isinstance(one, Everywhere) or one.factor == "test"}
        return {
            row.nodeid: [one for one in row.tests if one.needs_attention]
            for row in self.by_boards.rows
            if row.nodeid in blamed
        }

    @cached_property
    def bad_apart(self) -> list[RecordedTest]:
        """The tests that need a look and are in no finding of `everywhere`."""
        told = {one.nodeid for tests in self.everywhere.values() for one in tests}
        return [one for one in self.bad if one.nodeid not in told]

    @cached_property
    def flaky(self) -> list[RecordedTest]:
        """Tests that passed only when they were rerun."""
        return [one for one in self.tests if one.outcome == "flaky"]

    @cached_property
    def unused(self) -> dict[str, list[RecordedTest]]:
        """Skipped tests by the reason for which their hardware could not be used."""
        found: dict[str, list[RecordedTest]] = {}
        for one in self.tests:
            if one.last.verdict:
                found.setdefault(one.last.message, []).append(one)
        return found

    @cached_property
    def unasked(self) -> list[RecordedTest]:
        """Tests that passed without sending a request to their board."""
        return [one for one in self.tests if one.unasked and not one.needs_attention]

    @property
    def is_simulated(self) -> bool:
        """Whether all boards of its tests were simulated; if no test had one, whether it asked for such."""
        used = {one.board.simulated for one in self.tests if one.board is not None}
        return used == {True} if used else self.record.boards_from.startswith("sim")

    @property
    def _doubts(self) -> list[str]:
        """Reasons to doubt a run in which no test failed."""
        unused = sum(map(len, self.unused.values()))
        unsafe = [one.label for one in self.boards if one.health.state not in {"", "safe"}]
        of_tests = f"of {counted(len(self.tests), 'test')}"
        doubts = [f"{unused} {of_tests} had no hardware"] if unused else []
        doubts += [f"{len(self.unasked)} {of_tests} never asked their board"] if self.unasked else []
        gone = self.record.vanished
        doubts += [f"{counted(gone, 'file')} vanished at collection"] if gone else []
        gone = self.record.dropped
        doubts += [f"{counted(gone, 'test')} dropped after collection"] if gone else []
        doubts += [f"board {label} was not left safe" for label in unsafe]
        return doubts + (["a board was in trouble"] if self.record.trouble and not unsafe else [])

    @cached_property
    def boards(self) -> list[BoardView]:
        """Its boards, those with the most failures first."""
        views = {one.serial: BoardView(one, []) for one in self.record.boards}
        for one in self.tests:
            for used in one.boards:
                health = BoardHealth(used.serial, used.firmware, used.name, used.simulated)
                known = views.setdefault(used.serial, BoardView(health, []))
                known.tests.append(one)
                if not known.health.name:  # a run of an older hil
                    views[used.serial] = BoardView(replace(known.health, name=used.name), known.tests)
        return sorted(views.values(), key=lambda view: (-len(view.bad), natural_key(view.label)))

    @cached_property
    def by_boards(self) -> TestsByBoards | None:
        """The table of tests that run on each board; None if there are none."""
        return build_tests_by_boards(self.tests)

    @property
    def was_cut_short(self) -> bool:
        """Whether the run was killed, or goes on."""
        return self.record.ended_s is None

    @property
    def headline(self) -> str:
        """The run in a few words; it begins with SIMULATED if its boards were simulated."""
        return f"SIMULATED: {self._verdict}" if self.is_simulated else self._verdict

    @property
    def _verdict(self) -> str:
        if self.was_cut_short:
            return f"cut short after {counted(len(self.tests), 'test')}"
        gone = sum(one.kind == UNCOLLECTED for one in self.bad)
        bad, tests = len(self.bad) - gone, len(self.tests) - gone
        if self.bad:
            files = f"{counted(gone, 'file')} could not be collected"
            look = f"{bad} of {counted(tests, 'test')} {'needs' if bad == 1 else 'need'} a look"
            return ", ".join([files] * bool(gone) + [look] * bool(bad))
        if not self.tests:
            return f"no test ran{status_words(self.record.exit_status)}"
        return ", ".join(self._doubts) or self._calm

    @property
    def _calm(self) -> str:
        status = self.record.exit_status
        return (
            f"no test failed, but the exit status is {status}"
            if status
            else "all tests have the expected outcome"
        )


def read_run(path: Path) -> RunView | None:
    """Return the run whose evidence is in a folder, also if it was killed; None if there is none."""
    folder = EvidenceFolder(path)
    record = folder.run()
    tests = folder.tests(record.key if record else "")
    if record is None and not tests:
        return None
    return RunView(record or RunRecord(tests[0].run, tests[0].began_s), tests)


def count(tests: list[RecordedTest]) -> dict[str, int]:
    """Return the number of tests by outcome, failures first."""
    counted = Counter(one.outcome for one in tests)
    return {outcome: counted[outcome] for outcome in OUTCOMES if counted[outcome]}
