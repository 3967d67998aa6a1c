"""Keep a test from ending its run with exit status 0 by `os._exit`, or from replacing the run by `os.exec*`.

`os._exit` calls no handler of Python, so it is replaced in every module that has it. An audit hook refuses
`os.exec*` under any name, and the lookup by `ctypes` of a C function that does either. Both last until the
process ends, because handlers of `atexit` and threads of a test may run after pytest. A forked child may do
both. A call by an extension module in C is not noticed. A run whose end an error of a plugin cuts off is red.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from itertools import repeat
from operator import is_
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["EarlyExit", "replace_exit"]

_STATUS_BITS = 0xFF
"""The bits of an exit status that a parent process sees: `os._exit(256)` is 0."""

_ENDS_IN_C = frozenset(
    {"_exit", "_Exit", "exit", "quick_exit", "execl", "execle", "execlp", "execv", "execve", "execveat"}
    | {"execvp", "execvpe", "fexecve"}
)
"""Functions of the C library that end a process or put another program in its place."""


class EarlyExit:
    """A pytest plugin, for each process of a run.

    Args:
        show: Shows the user a line although output is being captured.
        is_worker: Allow `os._exit`: the controller notices that its worker ended.
    """

    _watching: ClassVar[EarlyExit | None] = None
    _is_hooked: ClassVar[bool] = False

    def __init__(self, show: Callable[[str], None], *, is_worker: bool = False) -> None:
        self._show = show
        self._is_worker = is_worker
        self._pid = os.getpid()
        self._test = ""
        self._outer: EarlyExit | None = None  # of a run that has this run inside one of its tests
        self._session: pytest.Session | None = None
        self._final: int | None = None  # the run's exit status, from its end on

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Start to watch."""
        self._session = session
        outer, EarlyExit._watching = EarlyExit.of_this_process(), self
        self._outer = outer if outer is not None and outer._final is None else None  # noqa: SLF001 - its own
        if self._outer is None and not self._is_worker:
            atexit.register(self._refuse_cut_off_end)
        if not EarlyExit._is_hooked:
            EarlyExit._is_hooked = True
            sys.addaudithook(_audit)  # for good: Python can remove none

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember the present test."""
        self._test = nodeid

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None, object, object]:
        """Watch with the run's exit status from now on; inside a test of another run, that run watches."""
        if self._session is not None:
            self._final = int(self._session.exitstatus)
        atexit.unregister(self._refuse_cut_off_end)
        try:
            return (yield)
        finally:
            if EarlyExit._watching is self and self._outer is not None:
                EarlyExit._watching = self._outer

    @classmethod
    def of_this_process(cls) -> EarlyExit | None:
        """Return the plugin of the run in this process, or None; a forked child has no run."""
        watching = cls._watching
        return watching if watching is not None and watching._pid == os.getpid() else None  # noqa: SLF001 - its own

    def status_of(self, status: int) -> int:
        """Tell the user that the run ends; return a status that is 0 only after a run that ended with 0."""
        if self._is_worker:
            return status
        if self._final is not None:
            return status if status & _STATUS_BITS else self._stays(status, self._final)
        told = f"hil: os._exit({status}) ended this run {self._where()}, before its end and its summary"
        if not status & _STATUS_BITS:
            status = pytest.ExitCode.INTERRUPTED
            told += f"; exit status {int(status)}"
        self._tell(told)
        return status

    def refuse(self, act: str, remedy: str) -> None:
        """Refuse what would end the process or replace its program.

        Args:
            act: What would have happened.
            remedy: How to do it in a child.

        Raises:
            UsageError: The run has not ended, or has failed.
        """
        if self._final == 0:
            return
        raise UsageError(
            f"{act} {self._where()}",
            why="no later test would have run, and its exit status would have been that of the run",
            remedy=remedy,
        )

    def _refuse_cut_off_end(self) -> None:
        """End the process with a red status if an exception of a plugin kept pytest from ending this run.

        `atexit` calls this, and Python tells no handler the status that the process would end with.
        """
        if self._session is None or EarlyExit.of_this_process() is not self:
            return
        status = int(self._session.exitstatus)
        self._final = status if status & _STATUS_BITS else int(pytest.ExitCode.INTERRUPTED)
        self._tell(
            f"hil: an error in a plugin or conftest.py cut off the end of this run; exit status {self._final}"
        )
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(self._final)

    def _stays(self, asked: int, final: int) -> int:
        if final:
            self._tell(f"hil: os._exit({asked}) after the end of this run; its exit status stays {final}")
        return final

    def _tell(self, line: str) -> None:
        with suppress(Exception):  # the process may be in any state
            self._show(line)

    def _where(self) -> str:
        if self._final is not None:
            return f"after its end with exit status {self._final}"
        return f"in {self._test}" if self._test else "before its first test"


def replace_exit() -> None:
    """Replace `os._exit` by `end_process` in all loaded modules, under any name; once for a process."""
    if os._exit is end_process:
        return
    original = os._exit
    for module in list(sys.modules.values()):
        names: dict[str, Any] = getattr(module, "__dict__", {})
        if any(map(is_, names.values(), repeat(original))):  # in C: there are hundreds of modules
            for name in [name for name, value in names.items() if value is original]:
                names[name] = end_process


def end_process(status: int, *, _exit: Callable[[int], NoReturn] = os._exit) -> NoReturn:
    """Do what `os._exit` does, but let no run end with exit status 0 by it."""
    watching = EarlyExit.of_this_process()
    _exit(status if watching is None else watching.status_of(status))


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse `os.exec*` in the process of a run, and the lookup of a C function that ends a process."""
    if event == "os.exec":
        program = os.fsdecode(arguments[0]) if isinstance(arguments[0], bytes) else arguments[0]
        act = f"os.exec would have put {program} in the place of this run"
        remedy = "start it as a child: subprocess.run([...])"
    elif event == "ctypes.dlsym" and _name_in_c(arguments[1]) in _ENDS_IN_C:
        act = f"ctypes would have called {_name_in_c(arguments[1])} in the process of this run"
        remedy = "call it in a child: os.fork() and then ctypes, or subprocess.run([...])"
    else:
        return
    watching = EarlyExit.of_this_process()
    if watching is not None:
        watching.refuse(act, remedy)


def _name_in_c(asked: object) -> str:
    return asked.decode(errors="replace") if isinstance(asked, bytes) else str(asked)
