"""A run and an attempt of a test, as the history stores them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.evidence.used_board import UsedBoard

if TYPE_CHECKING:
    from hil.evidence.measurement import Measurement

__all__ = ["FAILURES", "Attempt", "AttemptOutcome", "read_board"]


class AttemptOutcome(enum.IntEnum):
    """The outcome of an attempt, with its number in the database."""

    PASSED = 0
    FAILED = 1
    ERROR = 2
    SKIPPED = 3
    XFAILED = 4
    XPASSED = 5

    @property
    def is_failure(self) -> bool:
        """Whether the attempt failed or had an error."""
        return self in {AttemptOutcome.FAILED, AttemptOutcome.ERROR}


FAILURES = f"({AttemptOutcome.FAILED:d},{AttemptOutcome.ERROR:d})"
"""SQL list of the outcomes that are failures."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one test.

    Attributes:
        nodeid: The node id, without what xdist appends.
        outcome: Its outcome.
        number: 1 for the first attempt, higher for reruns.
        board: The board that it ran on; None if it had none.
        verdict: Why its hardware could not be used; empty if it could.
        setup_s: Duration of its set-up in seconds, including the wait for a board.
        call_s: Duration of its body in seconds.
        teardown_s: Duration of its tear-down in seconds.
        mean_watts: Mean power of the DUT while it was on, or over the whole test if it was on too briefly;
            None if not traced.
        message: First line of its error.
        numbers: The numbers that it measured.
        column: The board or kind, and the image, in its node id, if it runs on each or with each; else empty.
        partners: The partners of a test.
        image: The image on its board, or on its boards; empty if none was flashed in this run.
    """

    nodeid: str
    outcome: AttemptOutcome
    number: int = 1
    board: UsedBoard | None = None
    verdict: str = ""
    setup_s: float = 0.0
    call_s: float = 0.0
    teardown_s: float = 0.0
    mean_watts: float | None = None
    message: str = ""
    numbers: tuple[Measurement, ...] = ()
    column: str = ""
    partners: tuple[UsedBoard, ...] = ()
    image: str = ""

    @property
    def boards(self) -> list[UsedBoard]:
        """All its boards, the first one first; none if it had none."""
        return [] if self.board is None else [self.board, *self.partners]


def read_board(serial: str, firmware: str, name: str, simulated: int) -> UsedBoard | None:
    """Return the board of a row of the database; None for tests that had none and asked for none."""
    return UsedBoard(serial, firmware, name, bool(simulated)) if serial or simulated else None
