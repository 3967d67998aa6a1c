"""What is kept of one test: its attempts with their phases, its board, and what that was asked last."""

from __future__ import annotations

from dataclasses import dataclass, field

from hil.dutlink.usb.request_log import SentRequest  # noqa: TC001 - pydantic reads the annotations

__all__ = ["UNCOLLECTED", "RecordedAttempt", "RecordedBoard", "RecordedPhase", "RecordedTest"]

UNCOLLECTED = "not collected"
"""The kind of what stands for the tests of a file, or class, that could not be collected."""


@dataclass(slots=True)
class RecordedPhase:
    """One phase of an attempt.

    Attributes:
        name: `setup`, `call` or `teardown`.
        began_s: When, in seconds since 1970.
        duration_s: How long it took.
        outcome: pytest's word: passed, failed, skipped, rerun.
    """

    name: str
    began_s: float = 0.0
    duration_s: float = 0.0
    outcome: str = "passed"


@dataclass(slots=True)
class RecordedAttempt:
    """One attempt.

    Attributes:
        number: 1, and more for repetitions.
        outcome: passed, failed, error, skipped, xfailed, xpassed; empty: it did not end.
        verdict: Why its hardware could not be used; empty if it could.
        message: The line that says what went wrong, or why it was skipped.
        longrepr: All that pytest says of it.
        sections: What was captured: title and text.
        phases: In their order.
    """

    number: int = 1
    outcome: str = ""
    verdict: str = ""
    message: str = ""
    longrepr: str = ""
    sections: list[tuple[str, str]] = field(default_factory=list)
    phases: list[RecordedPhase] = field(default_factory=list)


@dataclass(slots=True)
class RecordedBoard:
    """The board that a test had.

    Attributes:
        serial: Its serial number.
        name: In its settings, or in the lab file.
        firmware: Its version.
        simulated: Whether it is a simulated one.
    """

    serial: str
    name: str = ""
    firmware: str = ""
    simulated: bool = False


@dataclass(slots=True)
class RecordedTest:
    """A test of a run.

    Attributes:
        nodeid: The plain node id.
        run: The key of the run.
        kind: hardware, mixed or no_hardware; `UNCOLLECTED`: it is the file of tests that nobody knows.
        worker: What ran it; empty without xdist.
        stem: How its files are called, in `console` and `power`.
        began_s: When, in seconds since 1970, waiting for a board included.
        began_monotonic_s: The same by `time.monotonic` of that machine.
        ended_s: When it ended; None: its process was killed, or it goes on.
        wait_s: How long it waited for its board, which was found, opened and made safe meanwhile.
        give_back_s: How long it took afterwards to give the board back, if that was done.
        board: Its board; None if it had none.
        attempts: In their order.
        requests: The last requests to the board while it ran.
        unasked: It passed and never asked the board for anything.
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
    board: RecordedBoard | None = None
    attempts: list[RecordedAttempt] = field(default_factory=list)
    requests: list[SentRequest] = field(default_factory=list)
    unasked: bool = False

    @property
    def last(self) -> RecordedAttempt:
        """The last attempt; an empty one if none ended."""
        return self.attempts[-1] if self.attempts else RecordedAttempt()

    @property
    def outcome(self) -> str:
        """What became of it; `cut short` where nobody knows, `flaky` where a repetition passed."""
        if not self.last.outcome:
            return "cut short"
        failed_before = any(one.outcome in {"failed", "error"} for one in self.attempts[:-1])
        return "flaky" if failed_before and self.last.outcome == "passed" else self.last.outcome

    @property
    def needs_attention(self) -> bool:
        """Whether somebody must look at it."""
        return self.outcome in {"failed", "error", "xpassed", "cut short"}

    @property
    def took_s(self) -> float:
        """Seconds of all its phases, without waiting for the board."""
        return sum(phase.duration_s for one in self.attempts for phase in one.phases)
