"""What is kept of a run and of each attempt of a test, as plain values."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["FAILURES", "Attempt", "AttemptBench", "AttemptOutcome", "RunFacts"]


class AttemptOutcome(enum.IntEnum):
    """What became of an attempt; numbers as the database has them."""

    PASSED = 0
    FAILED = 1
    ERROR = 2
    SKIPPED = 3
    XFAILED = 4
    XPASSED = 5

    @property
    def is_failure(self) -> bool:
        """Whether somebody must look at it."""
        return self in {AttemptOutcome.FAILED, AttemptOutcome.ERROR}


FAILURES = f"({AttemptOutcome.FAILED:d},{AttemptOutcome.ERROR:d})"
"""The outcomes that somebody must look at, as SQL has them."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run.

    Attributes:
        key: Unlike that of any other run on any host.
        began_s: When, in seconds since 1970.
        host: Name of the machine.
        kind: `nightly`, or empty.
        commit: The git commit of what was tested; empty if unknown.
        image: What `HIL_IMAGE` says was flashed for the whole run; empty if nothing.
        boards: How many boards should run tests: those of the lab file; 0 if it does not say.
        ended_s: When it ended; None while it runs, or when it was killed.
        exit_status: pytest's; None as above.
    """

    key: str
    began_s: float
    host: str = ""
    kind: str = ""
    commit: str = ""
    image: str = ""
    boards: int = 0
    ended_s: float | None = None
    exit_status: int | None = None


@dataclass(frozen=True, slots=True)
class AttemptBench:
    """What a test ran on.

    Attributes:
        board: Serial number; empty for tests without a board.
        firmware: The board's.
        place: Its name in the lab.
        simulated: Whether it is a simulated one.
        image: What was flashed to its stick in this run; empty if nothing was, or nobody said so.
    """

    board: str = ""
    firmware: str = ""
    place: str = ""
    simulated: bool = False
    image: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one test.

    Attributes:
        nodeid: The plain node id, without what xdist appends.
        outcome: What became of it.
        number: 1, and more for repetitions.
        bench: What it ran on.
        verdict: Why its hardware could not be used; empty if it could.
        setup_s: Seconds of its set-up, waiting for a board included.
        call_s: Seconds of its body.
        teardown_s: Seconds of its tear-down.
        mean_watts: What the DUT drew while it was on, or in the whole test where it was so for too short a
            time to tell; None: not traced.
        message: The first line of what went wrong.
    """

    nodeid: str
    outcome: AttemptOutcome
    number: int = 1
    bench: AttemptBench = AttemptBench()
    verdict: str = ""
    setup_s: float = 0.0
    call_s: float = 0.0
    teardown_s: float = 0.0
    mean_watts: float | None = None
    message: str = ""
