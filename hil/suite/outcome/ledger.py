"""The ledger: how many hardware and mixed tests of a run were planned, ran and were skipped, and why.

It is made from the user properties of tests, which xdist carries to the controller.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hil.evidence.used_board import natural_key
from hil.suite.images.flash_counts import FlashCounts
from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.attempts import is_flaky, skip_text
from hil.suite.outcome.user_properties import CAUGHT, LATE_LOSS, boards_of, facts_of
from hil.suite.recording.phases import attempt_to_collect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

    from hil.evidence.used_board import UsedBoard

__all__ = ["CRASHED", "Ledger", "LedgerEntry", "LeftBoard"]

CRASHED = "???"
"""xdist's word for the phase in which a worker died."""


@dataclass(slots=True)
class LedgerEntry:
    """The result of one test.

    Attributes:
        kind: Hardware or mixed.
        set_up: Whether its set-up passed.
        ran: Whether its body began, and its hardware could be used.
        failed: Whether a phase failed.
        error: Whether its set-up or its tear-down failed, which pytest counts as an error.
        flaky: Whether it passed only when it was repeated.
        skipped: Whether a phase was skipped, and none failed.
        reason: Why its hardware could not be used, as the skip tells it; empty if it could.
        verdict: In which way its hardware could not be used; empty if it could.
        own_reason: Why the test skipped itself, or its marker skipped it; ignored if there is a verdict.
        headline: The beginning of the reason.
        boards: The boards that it ran on.
        unasked: Whether it passed without a request to its board.
        late_loss: How its board was lost in its tear-down after the test had its outcome; else empty.
        caught: The errors of its board that it caught before it passed; else empty.
        ended: Whether its tear-down has ended.
    """

    kind: Kind
    set_up: bool = False
    ran: bool = False
    failed: bool = False
    error: bool = False
    flaky: bool = False
    skipped: bool = False
    reason: str = ""
    verdict: str = ""
    own_reason: str = ""
    headline: str = ""
    boards: Sequence[UsedBoard] = ()
    unasked: bool = False
    late_loss: str = ""
    caught: str = ""
    ended: bool = False

    @property
    def was_tested(self) -> bool:
        """Whether its outcome tells something about a board."""
        excused = self.verdict or self.skipped or self.unasked
        return self.ran and bool(self.boards) and not excused

    @property
    def was_interrupted(self) -> bool:
        """Whether it has no outcome, although it began."""
        return not (self.ran or self.failed or self.skipped or self.ended)

    def add_failure(self, *, failed: bool) -> None:
        """Note whether one more phase failed; a failure outranks the skip of any phase or subtest."""
        self.failed |= failed
        self.skipped &= not self.failed


def _skip_reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return the reason of a skip, on one line."""
    return " ".join(skip_text(report).removeprefix("Skipped: ").split())


@dataclass(frozen=True, slots=True)
class LeftBoard:
    """A board that a process of the run could not make safe, and left to its guard.

    Attributes:
        trouble: Why the board could not be made safe.
        serial: Serial number of the board.
        folder: The folder of its record.
        pid: The process.
        wait_s: How long to wait for the guard at the end of the run, in seconds.
        lost: Whether the board was lost, which does not fail the run.
        guarded: Whether a guard goes on; without one, the process tried to make the board safe itself.
    """

    trouble: str
    serial: str
    folder: str
    pid: int
    wait_s: float
    lost: bool = False
    guarded: bool = True


@dataclass(slots=True)
class Ledger:
    """The counts of a run; the controller has those of all workers.

    Attributes:
        planned: How many tests of each kind were collected and selected.
        kinds: The kind of each of these tests, by node id, in a process that collected them.
        records: The result of each test, by node id.
        left: Boards that were left to their guards; the controller tells at its end what became of them.
        trouble: Boards that could not be made safe, or were lost.
        late_errors: Errors of the tear-downs of fixtures that no test was left to raise; they fail the run.
        safe_since: Boards that could not be made safe at once, and that their guards made safe in time.
        unsafe: Whether a board could not be made safe.
        faults: What was wrong with boards that answered and could not be used, by serial number.
        uncollected: The errors of files and classes that could not be collected, by node id; these are
            failures, and how many tests they have is not known.
        vanished: The reasons of files and classes that skipped themselves at collection, by node id; how many
            tests they have is not known.
        dropped: The kinds of tests that a conftest or a plugin dropped after they were collected, by node id;
            they are not planned.
        deselected: How many tests -k, -m or a plugin left out; they are not planned.
        not_kept: Evidence that could not be written.
        flashes: How many images were to be put on boards, and how many were.
        remarks: Other lines of the summary, such as console trouble between two tests.
    """

    planned: Counter[Kind] = field(default_factory=Counter)
    kinds: dict[str, Kind] = field(default_factory=dict)
    records: dict[str, LedgerEntry] = field(default_factory=dict)
    left: list[LeftBoard] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    late_errors: list[str] = field(default_factory=list)
    safe_since: list[str] = field(default_factory=list)
    unsafe: bool = False
    faults: dict[str, str] = field(default_factory=dict)
    uncollected: dict[str, str] = field(default_factory=dict)
    vanished: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    deselected: int = 0
    not_kept: list[str] = field(default_factory=list)
    flashes: FlashCounts = field(default_factory=FlashCounts)
    remarks: list[str] = field(default_factory=list)
    _crashed: set[str] = field(default_factory=set)

    def plan(self, items: Iterable[pytest.Item]) -> None:
        """Count the tests of each kind; a test that was selected twice counts once."""
        self.kinds = {item.nodeid: kind_of(item) for item in items}
        self.planned = Counter(self.kinds.values())

    def collected(self) -> dict[str, Any]:
        """Return what a worker knows after its collection; one that is killed sends nothing at its end."""
        kinds = {nodeid: kind for nodeid, kind in self.kinds.items() if kind is not Kind.NO_HARDWARE}
        return self._counted() | {"kinds": kinds}

    def _counted(self) -> dict[str, Any]:
        planned = {kind.value: number for kind, number in self.planned.items()}
        return {"planned": planned, "dropped": self.dropped, "deselected": self.deselected}

    def as_data(self) -> dict[str, Any]:
        """Return what a worker sends to the controller at its end; the reports have sent the rest."""
        return self._counted() | {
            "left": [asdict(board) for board in self.left],
            "trouble": self.trouble,
            "late_errors": self.late_errors,
            "safe_since": self.safe_since,
            "unsafe": self.unsafe,
            "faults": self.faults,
            "uncollected": self.uncollected,
            "vanished": self.vanished,
            "flashes": self.flashes.as_data(),
            "remarks": self.remarks,
            "not_kept": self.not_kept,
        }

    def take_over(self, data: dict[str, Any]) -> None:
        """Add the ledger of a worker; all workers collect the same tests."""
        for kind, number in data.get("planned", {}).items():
            self.planned[Kind(kind)] = max(self.planned[Kind(kind)], number)
        kinds: dict[str, str] = data.get("kinds", {})
        for nodeid in self._crashed & kinds.keys() - self.records.keys():
            self.records[nodeid] = LedgerEntry(Kind(kinds[nodeid]), failed=True)
        self.left += [LeftBoard(**board) for board in data.get("left", [])]
        self.trouble += data.get("trouble", [])
        self.late_errors += data.get("late_errors", [])
        self.safe_since += data.get("safe_since", [])
        self.unsafe = self.unsafe or data.get("unsafe", False)
        self.faults = data.get("faults", {}) | self.faults
        self.uncollected |= data.get("uncollected", {})
        self.vanished |= data.get("vanished", {})
        self.dropped |= data.get("dropped", {})
        self.deselected = max(self.deselected, data.get("deselected", 0))
        if "flashes" in data:
            self.flashes.take_over(data["flashes"])
        self.remarks += data.get("remarks", [])
        self.not_kept += data.get("not_kept", [])

    def add_collected(self, report: pytest.CollectReport) -> None:
        """Add a file or class that could not be collected, or that skipped itself."""
        if report.failed:
            self.uncollected[report.nodeid] = attempt_to_collect(report).message
        if report.skipped:
            self.vanished[report.nodeid] = _skip_reason(report)

    def begin(self, nodeid: str, kind: Kind) -> None:
        """Add a test that began, in the process that runs it."""
        self.records.setdefault(nodeid, LedgerEntry(kind))

    def add(self, report: pytest.TestReport) -> None:
        """Add a phase of a test."""
        if report.when == CRASHED and report.nodeid in self.records:
            self.records[report.nodeid].add_failure(failed=report.failed)  # or it is run again
        elif report.when == CRASHED:
            self._crashed.add(report.nodeid)  # before its set-up was over: a worker has sent its kind
        if not report.user_properties:
            return
        facts = facts_of(report)
        if "hil_kind" not in facts:
            return
        record = self.records.setdefault(report.nodeid, LedgerEntry(Kind(facts["hil_kind"])))
        expected = hasattr(report, "wasxfail")
        record.ran = record.ran or (report.when == "call" and (expected or not report.skipped))
        flaky = is_flaky(report)  # a body that failed only in the eyes of other tools
        record.flaky = flaky or (record.flaky and report.when != "setup")
        record.error |= report.failed and report.when in {"setup", "teardown"}
        record.skipped = (report.skipped and not expected) or (record.skipped and report.when != "setup")
        record.add_failure(failed=report.failed and not flaky)
        if report.when == "setup":
            record.set_up = report.passed
        if report.skipped and not expected:
            record.own_reason = _skip_reason(report)
        record.verdict = facts.get("hil_verdict", "")
        record.headline = facts.get("hil_headline", "")
        record.reason = facts.get("hil_reason", "")
        record.unasked = "hil_unasked" in facts
        record.caught = facts.get(CAUGHT, "")
        record.ended = report.when == "teardown"
        record.late_loss = facts.get(LATE_LOSS, "")
        record.boards = boards_of(facts) or record.boards

    def of(self, kind: Kind) -> list[LedgerEntry]:
        """Return the records of one kind."""
        return [record for record in self.records.values() if record.kind is kind]

    def boards(self) -> dict[UsedBoard, int]:
        """Count the tests that ran on each board."""
        return _count(
            board for record in self.records.values() if record.was_tested for board in record.boards
        )

    def died_in_setup(self) -> dict[UsedBoard, int]:
        """Count, for each board on which no test ran, the tests whose set-up failed on it."""
        dead = [one for one in self.records.values() if one.failed and not one.set_up]
        ran = self.serials()
        return _count(board for record in dead for board in record.boards if board.serial not in ran)

    def serials(self) -> set[str]:
        """Return the serial numbers of the boards that tests ran on."""
        return {board.serial for board in self.boards()}

    def reasons(self) -> Counter[str]:
        """Count the distinct reasons for which hardware could not be used."""
        return Counter(record.reason for record in self.records.values() if record.verdict)

    def own_skips(self) -> dict[str, list[str]]:
        """Return the tests that were skipped without a verdict, by the reason that their authors give."""
        told: dict[str, list[str]] = {}
        for nodeid, record in self.records.items():
            if record.skipped and not record.verdict:
                told.setdefault(record.own_reason, []).append(nodeid)
        return told

    def caught_errors(self) -> dict[str, str]:
        """Return the errors of boards that tests caught and did not fail with, by node id."""
        return {
            nodeid: record.caught
            for nodeid, record in self.records.items()
            if record.caught and not record.failed
        }

    def late_losses(self) -> Counter[str]:
        """Count the reasons of boards that were lost in tear-downs of tests that had their outcome."""
        return Counter(record.late_loss for record in self.records.values() if record.late_loss)

    def counts(self, kind: Kind) -> dict[str, int]:
        """Count the tests of one kind by their results."""
        records = self.of(kind)
        planned = max(self.planned[kind], len(records))
        return {
            "planned": planned,
            "ran": sum(record.was_tested for record in records),
            "failed": sum(record.failed for record in records),
            "skipped": sum(record.skipped for record in records),
        } | {name: number for name, number in self._rarer_counts(records, planned).items() if number}

    def interrupted(self) -> int:
        """Return how many tests began, and have no outcome."""
        return sum(record.was_interrupted for record in self.records.values())

    @staticmethod
    def _rarer_counts(records: list[LedgerEntry], planned: int) -> dict[str, int]:
        """Count results that most runs do not have, by the words of the summary."""
        told = [record for record in records if record.ran or record.failed or record.skipped]
        interrupted = sum(record.was_interrupted for record in records)
        boardless = (one.ran and not one.boards and not one.failed and not one.skipped for one in records)
        return {
            "flaky": sum(record.flaky for record in records),
            "never asked their board": sum(record.unasked for record in records),
            "ran without a board": sum(boardless),
            "interrupted": interrupted,
            "never began": planned - len(told) - interrupted,
            "of the failed tested nothing": sum(
                one.failed and not (one.was_tested or one.skipped or one.unasked) for one in records
            ),
        }


def _count(boards: Iterable[UsedBoard]) -> dict[UsedBoard, int]:
    """Count how often each board is there, by its serial number: its name and role may differ."""
    found: dict[str, list[UsedBoard]] = {}
    for board in boards:
        found.setdefault(board.serial, []).append(board)
    in_order = sorted(found.values(), key=lambda same: natural_key(same[0].label))
    return {same[0]: len(same) for same in in_order}
