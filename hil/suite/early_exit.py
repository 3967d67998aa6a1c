"""Let no test end its process with exit status 0: `os._exit(0)` skips the rest of the run and its summary.

`os._exit` runs no handler of Python, so it is replaced while a run lasts. A child of `fork` still ends as it
wants. What ends a process without Python, such as a C library's `_exit(0)`, is not seen.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EarlyExit"]


class EarlyExit:
    """A pytest plugin, for the first process of a run.

    Args:
        show: Shows the user a line although output is being captured.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._pid = os.getpid()
        self._test = ""
        self._exit: Callable[[int], NoReturn] = os._exit

    def pytest_sessionstart(self) -> None:
        """Replace `os._exit`."""
        self._exit = os._exit
        os._exit = self._end

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember the test that runs."""
        self._test = nodeid

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Put `os._exit` back."""
        if os._exit == self._end:
            os._exit = self._exit  # type: ignore[assignment]  # what it was

    def _end(self, status: int) -> NoReturn:
        if os.getpid() != self._pid:
            self._exit(status)
        where = f"in {self._test}" if self._test else "before its first test"
        told = f"hil: os._exit({status}) ended this run {where}, before its end and its summary"
        if not status:
            status = pytest.ExitCode.INTERRUPTED
            told += f"; exit status {int(status)}"
        with suppress(Exception):  # in the middle of anything
            self._show(told)
        self._exit(status)
