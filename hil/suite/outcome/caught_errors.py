"""Errors of hil that a test caught: a mistake in the test fails it, missing hardware skips it.

`except Exception: pytest.skip(...)` turns every error into a skip, and so do `pytest.xfail`, the skips of
unittest, and an `xfail` marker on a test that fails after its `except`. Python keeps the caught error in the
chain of the skip, and a fixture that pytest has cached raises the same skip for the next test. Errors of the
fixture `dutlink` and of requests to the board are noted, too, because a test may skip itself after its
`except` has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.errors import NotLeasedError, UnavailableError, UsbBlockedError
from hil.suite.outcome.error_chain import is_excuse, raised_by_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CaughtErrors"]

_MISTAKES: Final = (UsbBlockedError, NotLeasedError)
"""Errors that no state of the hardware causes."""


class CaughtErrors:
    """The errors of the present attempt, in each process of a run.

    Args:
        judge: Given a test, its phase and the errors in the chain of its skip, replaces the phase's error if
            the test caught that its hardware could not be used.

    Attributes:
        noted: The errors that the present attempt got when it requested the board.
    """

    def __init__(
        self, judge: Callable[[pytest.Item, pytest.CallInfo[Any], list[BaseException]], None]
    ) -> None:
        self._judge = judge
        self.noted: list[Exception] = []

    def cause_of(
        self, chain: Sequence[BaseException], of_requests: Sequence[BaseException]
    ) -> BaseException | None:
        """Return the hardware error that a test caught before its skip or expected failure, or None.

        Args:
            chain: The errors in the chain of the skip.
            of_requests: The errors of the test's requests to its board.
        """
        from hil.suite.outcome.verdicts import may_be_hardware_error  # noqa: PLC0415 - the driver, for skips of tests that use boards

        caught = list(chain) if all(map(may_be_hardware_error, chain)) else []
        caught += [one for one in (*self.noted, *of_requests) if may_be_hardware_error(one)]
        unavailable = [one for one in caught if isinstance(one, UnavailableError)]
        return next(iter(unavailable + caught), None)

    def revise(
        self,
        item: pytest.Item,
        call: pytest.CallInfo[Any],
        report: pytest.TestReport,
        raised: pytest.ExceptionInfo[BaseException] | None,
    ) -> None:
        """Fail a test that caught the error about its own mistake; judge one that caught a loss.

        Args:
            item: The test.
            call: Its present phase, with the outcome that pytest made of what was raised.
            report: The report of the phase.
            raised: What the phase raised.
        """
        ended = call.excinfo
        chain = [
            error
            for end in (raised, ended)  # pytest makes its own skip, without a chain, of one of unittest
            if end is not None and is_excuse(end.value)
            for error in raised_by_tests(end.value)
        ]
        mistakes: list[BaseException] = [one for one in self.noted if not isinstance(one, UnavailableError)]
        mistakes += [one for one in chain if isinstance(one, _MISTAKES)]
        self.noted[:] = [one for one in self.noted if isinstance(one, UnavailableError)]  # told once
        value = ended.value if ended is not None else None
        if mistakes and value not in mistakes and not report.failed:
            then = f"skipped itself ({value})" if report.skipped else "went on"
            report.outcome = "failed"
            report.longrepr = f"{mistakes[0]}\n\nThe test caught this error and {then}."
            vars(report).pop("wasxfail", None)
        elif report.skipped:
            self._judge(item, call, chain)
            if call.excinfo is not ended:
                _report_again(report, item, call)


def _report_again(report: pytest.TestReport, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Put the outcome of another error into a report, which keeps what other plugins have added."""
    again = pytest.TestReport.from_item_and_call(item, call)
    report.outcome, report.longrepr = again.outcome, again.longrepr
    report.user_properties = again.user_properties
    vars(report).pop("wasxfail", None)
