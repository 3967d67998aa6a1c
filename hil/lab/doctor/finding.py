"""The result of a check: what was checked, what was found, and how to fix it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from hil.errors import HilError

__all__ = ["CheckOutcome", "Finding", "Findings", "ok", "problem", "problem_of", "skipped"]


class CheckOutcome(enum.StrEnum):
    """Whether a check found a problem."""

    OK = "ok"
    PROBLEM = "problem"
    SKIPPED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        check: The check's name: "libusb", "udev rule", "stick".
        outcome: Whether there is a problem.
        says: What was found, in a sentence.
        why: The cause of a problem, or why the check was skipped; may be empty.
        fix: What to type (or do) to fix a problem; may be empty.
        board: The board's serial number; empty if the finding is about the machine.
    """

    check: str
    outcome: CheckOutcome
    says: str
    why: str = ""
    fix: str = ""
    board: str = ""

    def to_data(self) -> dict[str, Any]:
        """Return the finding as plain data, in which the fix is called `remedy`, as in errors."""
        data = asdict(self)
        remedy = data.pop("fix")
        return {**data, "outcome": str(self.outcome), "remedy": remedy}


Findings: TypeAlias = Iterator[Finding]


def ok(check: str, says: str, *, board: str = "") -> Finding:
    """Return a finding without a problem."""
    return Finding(check, CheckOutcome.OK, says, board=board)


def problem(check: str, says: str, *, why: str = "", fix: str = "", board: str = "") -> Finding:
    """Return a problem and its fix."""
    return Finding(check, CheckOutcome.PROBLEM, says, why, fix, board)


def problem_of(check: str, error: HilError, *, fix: str = "", board: str = "") -> Finding:
    """Return the problem that an error describes."""
    return problem(check, error.what, why=error.why, fix=fix or error.remedy, board=board)


def skipped(check: str, why: str, *, board: str = "") -> Finding:
    """Return a finding of a skipped check."""
    return Finding(check, CheckOutcome.SKIPPED, "not checked", why, board=board)
