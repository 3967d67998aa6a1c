"""Let no test end its run in the middle with exit status 0, or put another program in the run's place.

`os._exit` runs no handler of Python, so it is replaced in every module that has it. `os.exec*` is refused
by an audit hook, which sees it under any name. A child of `fork` ends, and becomes another program, as it
wants. What ends a process without Python, such as a C library's `_exit(0)`, is not seen.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EarlyExit", "replace_exit"]


class EarlyExit:
    """A pytest plugin, for each process of a run.

    Args:
        show: Shows the user a line although output is being captured.
        is_worker: Leave `os._exit` alone: the controller sees that its worker ended.
    """

    _watching: ClassVar[EarlyExit | None] = None
    _is_hooked: ClassVar[bool] = False

    def __init__(self, show: Callable[[str], None], *, is_worker: bool = False) -> None:
        self._show = show
        self._is_worker = is_worker
        self._pid = os.getpid()
        self._test = ""
        self._outer: EarlyExit | None = None  # of a run that has this one in a test of its own

    def pytest_sessionstart(self) -> None:
        """Begin to watch."""
        self._outer, EarlyExit._watching = EarlyExit._watching, self
        if not EarlyExit._is_hooked:
            EarlyExit._is_hooked = True
            sys.addaudithook(_audit)  # for good: Python can remove none

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember the test that runs."""
        self._test = nodeid

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Watch no more."""
        if EarlyExit._watching is self:
            EarlyExit._watching = self._outer

    @classmethod
    def of_this_process(cls) -> EarlyExit | None:
        """Return the plugin if a run is under way in this process; a forked child is none."""
        watching = cls._watching
        return watching if watching is not None and watching._pid == os.getpid() else None  # noqa: SLF001 - its own

    def status_of(self, status: int) -> int:
        """Tell that the run ends here; return a status that is not 0."""
        if self._is_worker:
            return status
        told = f"hil: os._exit({status}) ended this run {self._where()}, before its end and its summary"
        if not status:
            status = pytest.ExitCode.INTERRUPTED
            told += f"; exit status {int(status)}"
        with suppress(Exception):  # in the middle of anything
            self._show(told)
        return status

    def refuse(self, program: object) -> NoReturn:
        """Raise what `os.exec*` would have done.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            f"os.exec would have put {os.fsdecode(program) if isinstance(program, bytes) else program} "
            f"in the place of this run {self._where()}",
            why="no later test would have run, and its exit status would have been that of the run",
            remedy="start it as a child: subprocess.run([...])",
        )

    def _where(self) -> str:
        return f"in {self._test}" if self._test else "before its first test"


def replace_exit() -> None:
    """Put `end_process` wherever a loaded module has `os._exit`, under any name; once for a process."""
    if os._exit is end_process:
        return
    original = os._exit
    for module in list(sys.modules.values()):
        names: dict[str, Any] = getattr(module, "__dict__", {})
        for name in [name for name, value in names.items() if value is original]:
            names[name] = end_process


def end_process(status: int, *, _exit: Callable[[int], NoReturn] = os._exit) -> NoReturn:
    """Do what `os._exit` does, which this function replaces, and let no run end so with exit status 0."""
    watching = EarlyExit.of_this_process()
    _exit(status if watching is None else watching.status_of(status))


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse `os.exec*` in the process of a run."""
    if event == "os.exec":
        watching = EarlyExit.of_this_process()
        if watching is not None:
            watching.refuse(arguments[0])
