"""Which error of a test becomes which outcome: an error is a signal, a fresh look at the board is the proof.

A skip claims that hardware could not be used. Only a look at the bus may make that claim; the error alone
never does, because a misspelt file name and a missing board raise the same one.
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
"""How a skip's reason begins, for each way in which hardware cannot be used."""

_SIGNALS = (
    UnavailableError,
    BoardFaultError,
    ConsoleMissingError,
    ConsoleDeniedError,
    ConsoleBusyError,
    ConsoleLostError,
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Hardware could not be used, and that was proven.

    Attributes:
        verdict: In which of the ways.
        cause: What was found.
        remedy: What to do about it.
    """

    verdict: Verdict
    cause: str
    remedy: str

    @classmethod
    def of(cls, verdict: Verdict, error: HilError | None) -> Judgement:
        """Tell what a look found; each part on one line, as pytest's short summary wants it."""
        if error is None:
            return cls(verdict, "", "")
        cause = f"{error.what}: {error.why}" if error.why else error.what
        return cls(verdict, " ".join(cause.split()), " ".join(error.remedy.split()))

    @property
    def reason(self) -> str:
        """The text of the skip, or of the failure where hardware is required."""
        cause = f": {self.cause}" if self.cause else ""
        remedy = f". Try: {self.remedy}" if self.remedy else ""
        return f"{REASONS[self.verdict]}{cause}{remedy}"


def may_be_hardware_error(error: BaseException) -> bool:
    """Whether missing hardware could explain an error. Of several errors at once, it must explain all."""
    if isinstance(error, BaseExceptionGroup):
        return all(may_be_hardware_error(part) for part in error.exceptions)
    if isinstance(error, HilError):
        return isinstance(error, _SIGNALS)
    return isinstance(error, FileNotFoundError) or classify(error) is not None


def explains_all(error: BaseException) -> bool:
    """Return True if missing hardware could explain an error and all that the test raised before it.

    A `finally` or an `__exit__` that meets a lost board replaces the error that the test was failing with.
    """
    return may_be_hardware_error(error) and all(map(may_be_hardware_error, raised_by_tests(error)))


def judge(
    error: BaseException,
    *,
    kind: Kind,
    phase: str,
    proven: BaseException | None,
    prove: Callable[[], ProbeResult],
) -> Judgement | None:
    """Decide what an error of a test that uses a board means.

    Args:
        error: What the test raised.
        kind: Hardware or mixed; what a mixed test itself raises always stands.
        phase: `setup`, `call` or `teardown`.
        proven: The error with which no board could be had; a look was its cause, so it needs no other.
        prove: Takes a fresh look.

    Returns:
        The judgement, or None where the test's own error stands.
    """
    if not explains_all(error):
        return None
    if error is proven and isinstance(error, UnavailableError):
        return Judgement.of(error.verdict, error)
    if kind is not Kind.HARDWARE:
        return None
    try:
        result = prove()
    except Exception:  # noqa: BLE001 - a look that fails, such as at simulated boards whose process ended, proves nothing
        return None
    answers = result.verdict not in REASONS
    if answers or (phase == "teardown" and result.verdict is not Verdict.LOST):
        return None
    return Judgement.of(result.verdict, result.error)


def as_pytest_outcome(reason: str, *, required: bool) -> pytest.ExceptionInfo[BaseException] | None:
    """Raise pytest's own skip, or its failure where hardware is required, and catch it.

    pytest makes the `excinfo` of a report of anything else in the same way.
    """

    def leave() -> None:
        if required:
            pytest.fail(reason, pytrace=False)
        raise pytest.skip.Exception(reason, _use_item_location=True)

    return pytest.CallInfo.from_call(leave, "call").excinfo
