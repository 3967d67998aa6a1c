"""The records of a run and of its tests, as their files hold them, and the names of a test's files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from hil.dutlink.usb.request_log import SentRequest  # noqa: TC001 - pydantic reads the annotations
from hil.evidence.measurement import Measurement  # noqa: TC001 - pydantic reads the annotations
from hil.evidence.used_board import UsedBoard

__all__ = [
    "UNCOLLECTED",
    "BoardHealth",
    "RecordedAttempt",
    "RecordedPhase",
    "RecordedTest",
    "RunRecord",
    "file_stem",
    "part_name",
    "without_column",
]


@dataclass(frozen=True, slots=True)
class BoardHealth(UsedBoard):
    """A board at the end of a run.

    Attributes:
        state: State in the board's record: safe, in use, pending; empty if this host has no record.
        events: Actions that made it safe, the newest last.
    """

    state: str = ""
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run. The history keeps it up to its exit status.

    Attributes:
        key: Unique among the runs of all hosts.
        began_s: Start, in seconds since 1970.
        host: Name of the machine.
        kind: `nightly`, or empty.
        commit: Value of `HIL_COMMIT`, else the git commit of the tests; empty if unknown.
        image: Value of `HIL_IMAGE`: the image of the whole run; empty if not set.
        expected_boards: Number of boards that should run tests, by the lab file; 0 if that does not say.
        ended_s: End; None if the run was killed, or goes on.
        exit_status: pytest's exit status; None if the run was killed, or goes on.
        command: The command line.
        boards_from: Where its boards are.
        boards: The boards that it used.
        ledger: The ledger's lines, as the terminal shows them.
        loud: The ledger's warning line; empty if there is none.
        planned: Number of collected tests by kind.
        vanished: Number of files and classes that skipped themselves during collection.
        dropped: Number of tests that a conftest or a plugin dropped after their collection.
        trouble: What could not be made safe, or could not be recorded.
    """

    key: str
    began_s: float
    host: str = ""
    kind: str = ""
    commit: str = ""
    image: str = ""
    expected_boards: int = 0
    ended_s: float | None = None
    exit_status: int | None = None
    command: str = ""
    boards_from: str = ""
    boards: list[BoardHealth] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    loud: str = ""
    planned: dict[str, int] = field(default_factory=dict)
    vanished: int = 0
    dropped: int = 0
    trouble: list[str] = field(default_factory=list)


UNCOLLECTED = "not collected"
"""The kind of a record for a file or class that could not be collected, in place of its tests."""


@dataclass(slots=True)
class RecordedPhase:
    """One phase of an attempt.

    Attributes:
        name: `setup`, `call` or `teardown`.
        began_s: Start, in seconds since 1970.
        duration_s: Duration in seconds.
        outcome: pytest's outcome: passed, failed, skipped, rerun.
    """

    name: str
    began_s: float = 0.0
    duration_s: float = 0.0
    outcome: str = "passed"


@dataclass(slots=True)
class RecordedAttempt:
    """One attempt.

    Attributes:
        number: 1 for the first attempt, higher for reruns.
        outcome: passed, failed, error, skipped, xfailed, xpassed; empty if it did not end.
        verdict: Why its hardware could not be used; empty if it could.
        message: The line that says what went wrong, or why it was skipped.
        longrepr: pytest's full report.
        sections: Captured output: title and text.
        phases: Its phases, in order.
        numbers: The numbers that it measured, in order.
        mean_watts: Mean power of the DUT while it was on, or over the whole test if it was on too briefly;
            None if not traced.
    """

    number: int = 1
    outcome: str = ""
    verdict: str = ""
    message: str = ""
    longrepr: str = ""
    sections: list[tuple[str, str]] = field(default_factory=list)
    phases: list[RecordedPhase] = field(default_factory=list)
    numbers: list[Measurement] = field(default_factory=list)
    mean_watts: float | None = None

    def seconds_of(self, phase: str) -> float:
        """Return the duration of a phase, by its name; 0 if it had none."""
        return sum(one.duration_s for one in self.phases if one.name == phase)

    @property
    def body_s(self) -> float:
        """Seconds of its body; of its set-up if it came no further."""
        return self.seconds_of("call") or self.seconds_of("setup")


@dataclass(slots=True)
class RecordedTest:
    """A test of a run.

    Attributes:
        nodeid: The node id, without what xdist appends.
        run: Key of the run.
        kind: hardware, mixed or no_hardware; `UNCOLLECTED` for a file that could not be collected.
        worker: The xdist worker that ran it; empty without xdist.
        stem: Name of its files in `console` and `power`, without a suffix.
        began_s: Start, in seconds since 1970, before it waited for a board.
        began_monotonic_s: The same by `time.monotonic` of that machine.
        ended_s: End; None if its process was killed, or it goes on.
        wait_s: Seconds until its board was acquired, opened and made safe.
        give_back_s: Seconds for releasing the board after it, if the board was released.
        board: Its board; None if it had none.
        partners: The partners of a test.
        attempts: Its attempts, in order.
        requests: The last requests to the board while it ran.
        unasked: Whether it passed without sending a request to its board.
        column: The board or kind, and the image, in its node id, if it runs on each or with each; else empty.
        image_label: The image in its node id, if it runs with each; else empty.
        image: The image on its board, or on its boards; empty if none was flashed.
    """

    nodeid: str
    run: str = ""
    kind: str = ""
    worker: str = ""
    stem: str = ""
    began_s: float = 0.0
    began_monotonic_s: float = 0.0
    ended_s: float | None = None
    wait_s: float = 0.0
    give_back_s: float = 0.0
    board: UsedBoard | None = None
    partners: list[UsedBoard] = field(default_factory=list)
    attempts: list[RecordedAttempt] = field(default_factory=list)
    requests: list[SentRequest] = field(default_factory=list)
    unasked: bool = False
    column: str = ""
    image_label: str = ""
    image: str = ""

    @property
    def boards(self) -> list[UsedBoard]:
        """All boards that it had, or asked for in vain, the first board first."""
        return [] if self.board is None else [self.board, *self.partners]

    @property
    def last(self) -> RecordedAttempt:
        """The last attempt; an empty one if none ended."""
        return self.attempts[-1] if self.attempts else RecordedAttempt()

    @property
    def outcome(self) -> str:
        """Outcome of the last attempt; `cut short` if that did not end, `flaky` if a rerun passed."""
        if not self.last.outcome:
            return "cut short"
        failed_before = any(one.outcome in {"failed", "error"} for one in self.attempts[:-1])
        return "flaky" if failed_before and self.last.outcome == "passed" else self.last.outcome

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look at it: it failed, was cut short, or passed unexpectedly."""
        return self.outcome in {"failed", "error", "xpassed", "cut short"}

    @property
    def took_s(self) -> float:
        """Seconds of all its phases, without waiting for the board."""
        return sum(phase.duration_s for one in self.attempts for phase in one.phases)


_LONGEST_STEM = 120


def part_name(test: str, role: str | int) -> str:
    """Return the name under which the evidence of a further board of a test is kept."""
    return f"{test} ({role})"


def file_stem(test: str) -> str:
    """Return a readable file name for a test, without a suffix and unique to the test."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-.")
    return f"{plain[-_LONGEST_STEM:]}-{hashlib.sha256(test.encode(errors='surrogatepass')).hexdigest()[:8]}"


def without_column(nodeid: str, column: str) -> str:
    """Return the node id that a test has on all boards, or the node id itself if it has no such column.

    `test_usb[jetson-1-fast]` is `test_usb[fast]` on jetson-1.

    Args:
        nodeid: The node id.
        column: The name of the board or kind in it.
    """
    file, parts, test = nodeid.partition("::")
    name, bracket, parameters = test.partition(f"[{column}")
    if not column or not bracket:
        return nodeid
    if parameters == "]":
        return f"{file}{parts}{name}"
    return f"{file}{parts}{name}[{parameters[1:]}" if parameters.startswith("-") else nodeid
