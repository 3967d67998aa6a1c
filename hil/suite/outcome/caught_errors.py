"""Errors of hil that a test caught: a mistake in the test fails it, missing hardware skips it.

`except Exception: pytest.skip(...)` turns every error into a skip. Python keeps the caught error in the chain
of the skip, and a fixture that pytest has cached raises the same skip for the next test. Errors of the
fixture `dutlink` are noted, too, because a test may skip itself after its `except` has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.errors import NotLeasedError, UnavailableError, UsbBlockedError
from hil.suite.outcome.error_chain import raised_by_tests

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["CaughtErrors"]

_MISTAKES: Final = (UsbBlockedError, NotLeasedError)
"""Errors that no state of the hardware causes."""


class CaughtErrors:
    """A pytest plugin, in each process of a run."""

    def __init__(self) -> None:
        self._noted: list[Exception] = []

    def note(self, error: Exception) -> None:
        """Note the error that the present test got when it requested the board."""
        self._noted.append(error)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Forget the errors of the previous attempt."""
        self._noted.clear()

    def cause_of(self, error: BaseException) -> BaseException:
        """Return the hardware error that a test turned into a skip; return any other error as it is."""
        if not isinstance(error, pytest.skip.Exception):
            return error
        caught = [*raised_by_tests(error)] or self._noted
        from hil.suite.outcome.verdicts import may_be_hardware_error  # noqa: PLC0415 - the driver, for skips of tests that use boards

        if not caught or not all(map(may_be_hardware_error, caught)):
            return error
        return next((one for one in caught if isinstance(one, UnavailableError)), caught[0])

    @pytest.hookimpl(wrapper=True)  # around xfail, inside of what decides on attempts
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
        """Fail a test that caught the error about its own mistake."""
        report = yield
        raised = call.excinfo.value if call.excinfo is not None else None
        mistakes = [one for one in self._noted if not isinstance(one, UnavailableError)]
        if isinstance(raised, pytest.skip.Exception):
            mistakes += [one for one in raised_by_tests(raised) if isinstance(one, _MISTAKES)]
        self._noted[:] = [one for one in self._noted if isinstance(one, UnavailableError)]  # told once
        if mistakes and raised not in mistakes and not report.failed:
            then = f"skipped itself ({raised})" if report.skipped else "went on"
            report.outcome = "failed"
            report.longrepr = f"{mistakes[0]}\n\nThe test caught this error and {then}."
            vars(report).pop("wasxfail", None)
        return report
