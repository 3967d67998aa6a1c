"""End a forked child that returns from its test into pytest, and fail the test that forked it.

A child that returns or raises would continue the run: it would run the remaining tests a second time,
without a board, because a forked child inherits no lease. It is ended at the end of the set-up, body or
tear-down, and tells its parent by shared memory.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["ReturningChild"]

_BYTES: Final = 4096
_STATUS: Final = 1


class ReturningChild:
    """A pytest plugin, for runs with board tests; registered last, so that its wrappers are outermost.

    Args:
        show: Shows the user a line although output is being captured.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._pid = os.getpid()
        self._told = mmap.mmap(-1, _BYTES)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """End a child that was forked in the set-up of a test."""
        if item.config.pluginmanager.hasplugin("pytest_forked"):
            self._pid = os.getpid()  # its child is to run the whole test
        try:
            return (yield)
        finally:
            self._end_child(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """End a child that was forked in the body of a test, or in its tear-down."""
        try:
            return (yield)
        finally:
            self._end_child(item)

    pytest_runtest_teardown = pytest_runtest_call

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail the test whose child returned, unless the test has failed itself."""
        report = yield
        nodeid, _, how = self._told[:].rstrip(b"\0").decode(errors="replace").partition("\0")
        if nodeid != item.nodeid or report.skipped or (report.passed and call.when == "setup"):
            return report
        self._told[:] = bytes(_BYTES)
        if report.passed:
            report.outcome = "failed"
            report.longrepr = (
                f"a child process that this test forked came back into pytest{how}; it was ended there. "
                "End it in the test: os._exit(STATUS)"
            )
        return report

    def _end_child(self, item: pytest.Item) -> None:
        if os.getpid() != self._pid:
            self._end(item.nodeid, sys.exception())

    def _end(self, nodeid: str, error: BaseException | None) -> NoReturn:
        with suppress(BaseException):
            how = f", with {type(error).__name__}: {error}" if error is not None else ""
            self._told[:] = f"{nodeid}\0{how}".encode()[:_BYTES].ljust(_BYTES, b"\0")
            self._show(f"hil: a child that {nodeid} forked came back into pytest{how}; it ends here")
        os._exit(_STATUS)
