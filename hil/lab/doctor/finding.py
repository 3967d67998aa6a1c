"""One thing that was looked at, and what was found."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from hil.errors import HilError

__all__ = ["CheckOutcome", "Finding", "Findings", "ok", "problem", "problem_of", "skipped"]


class CheckOutcome(enum.StrEnum):
    """What became of a check."""

    OK = "ok"
    PROBLEM = "problem"
    SKIPPED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        check: What was looked at: "libusb", "udev rule", "stick".
        outcome: Whether it is well.
        says: What was found, in a sentence.
        why: The cause of a problem, or why nothing was checked; may be empty.
        mend: What to type (or do) to mend a problem; may be empty.
        board: The board's serial number, where one is concerned.
    """

    check: str
    outcome: CheckOutcome
    says: str
    why: str = ""
    fix: str = ""
    board: str = ""

    def to_data(self) -> dict[str, Any]:
        """The finding as plain data; what mends a problem is a `remedy`, as in errors."""
        data = asdict(self)
        return {**data, "outcome": str(self.outcome), "remedy": data.pop("mend")}


Findings: TypeAlias = Iterator[Finding]


def ok(check: str, says: str, *, board: str = "") -> Finding:
    """It is well."""
    return Finding(check, CheckOutcome.OK, says, board=board)


def problem(check: str, says: str, *, why: str = "", fix: str = "", board: str = "") -> Finding:
    """It is not, and this mends it."""
    return Finding(check, CheckOutcome.PROBLEM, says, why, fix, board)


def problem_of(check: str, error: HilError, *, fix: str = "", board: str = "") -> Finding:
    """It is not, as an error says."""
    return problem(check, error.what, why=error.why, fix=fix or error.remedy, board=board)


def skipped(check: str, why: str, *, board: str = "") -> Finding:
    """Nothing was looked at."""
    return Finding(check, CheckOutcome.SKIPPED, "not looked at", why, board=board)
