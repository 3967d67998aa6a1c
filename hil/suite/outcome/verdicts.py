"""Decide which error of a test is a skip: the error is a hint, a fresh probe of the board is the proof.

A skip claims that hardware could not be used. Only a probe of the bus may make that claim. The error alone
never does, because a misspelt file name and a missing board raise the same error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.usb.error_mapping import classify
from hil.errors import (
    BoardFaultError,
    ConsoleBusyError,
    ConsoleDeniedError,
    ConsoleLostError,
    ConsoleMissingError,
    HilError,
    UnavailableError,
    Verdict,
    with_names,
)
from hil.suite.markers import Kind
from hil.suite.outcome.error_chain import raised_by_tests

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.discovery import ProbeResult

__all__ = ["REASONS", "Judgement", "as_pytest_outcome", "explains_all", "judge", "may_be_hardware_error"]

REASONS = {
    Verdict.NO_BACKEND: "No USB backend",
    Verdict.ABSENT: "DUTLink not available",
    Verdict.DENIED: "USB not available",
    Verdict.BUSY: "DUTLink busy",
    Verdict.LOST: "DUTLink lost",
}
"""How the reason of a skip begins, for each verdict that hardware cannot be used."""

_HARDWARE_ERRORS = (
    UnavailableError,
    BoardFaultError,
    ConsoleMissingError,
    ConsoleDeniedError,
    ConsoleBusyError,
    ConsoleLostError,
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The proven fact that hardware could not be used.

    Attributes:
        verdict: Why.
        cause: What the probe found.
        remedy: What to do.
    """

    verdict: Verdict
    cause: str
    remedy: str

    @classmethod
    def of(cls, verdict: Verdict, error: HilError | None) -> Judgement:
        """Return the judgement for what a probe found; each part is one line, for pytest's short summary."""
        if error is None:
            return cls(verdict, "", "")
        cause = f"{error.what}: {error.why}" if error.why else error.what
        return cls(verdict, with_names(" ".join(cause.split())), " ".join(error.remedy.split()))

    @property
    def reason(self) -> str:
        """The text of the skip, or of the failure if hardware is required."""
        cause = f": {self.cause}" if self.cause else ""
        remedy = f". Try: {self.remedy}" if self.remedy else ""
        return f"{REASONS[self.verdict]}{cause}{remedy}"


def may_be_hardware_error(error: BaseException) -> bool:
    """Return True if missing hardware could explain an error, or each error of a group."""
    if isinstance(error, BaseExceptionGroup):
        return all(may_be_hardware_error(part) for part in error.exceptions)
    if isinstance(error, HilError):
        return isinstance(error, _HARDWARE_ERRORS)
    return isinstance(error, FileNotFoundError) or classify(error) is not None


def explains_all(error: BaseException) -> bool:
    """Return True if missing hardware could explain an error and all errors that the test raised before it.

    A `finally` or an `__exit__` that uses a lost board replaces the error that the test was failing with.
    """
    return may_be_hardware_error(error) and all(map(may_be_hardware_error, raised_by_tests(error)))


def judge(
    error: BaseException,
    *,
    kind: Kind,
    phase: str,
    why_no_board: BaseException | None,
    probe: Callable[[], ProbeResult],
) -> Judgement | None:
    """Return the judgement on an error of a test that uses a board, or None if the error stands.

    Args:
        error: The error.
        kind: Hardware or mixed; an error that a mixed test itself raises always stands.
        phase: `setup`, `call` or `teardown`.
        why_no_board: The error of acquiring a board for this test: a probe for this test caused it, so it
            needs no other.
        probe: Probes the board.
    """
    if not explains_all(error):
        return None
    if error is why_no_board and isinstance(error, UnavailableError):
        return Judgement.of(error.verdict, error)
    if kind is not Kind.HARDWARE:
        return None
    try:
        result = probe()
    except Exception:  # noqa: BLE001 - a probe that fails, such as of a simulator that has ended, proves nothing
        return None
    answers = result.verdict not in REASONS
    if answers or (phase == "teardown" and result.verdict is not Verdict.LOST):
        return None
    return Judgement.of(result.verdict, result.error)


def as_pytest_outcome(reason: str, *, required: bool) -> pytest.ExceptionInfo[BaseException] | None:
    """Return pytest's own skip, or its failure if hardware is required, as the `excinfo` of a report."""

    def leave() -> None:
        if required:
            pytest.fail(reason, pytrace=False)
        raise pytest.skip.Exception(reason, _use_item_location=True)

    return pytest.CallInfo.from_call(leave, "call").excinfo
