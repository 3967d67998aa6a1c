"""Shorten the traceback of an error that hil raised: it ends at the test's own line.

`--full-trace` shows all of it.

A frame is hidden as pytest documents it, by a local variable `__tracebackhide__`. `--pdb` obeys the same
variable and stops in the test.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hil.errors import HilError
from hil.suite.columns.column import PARAMETER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    import pytest

__all__ = ["ShortFailures"]

_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_NOT_OF_TESTS: Final = (*_LIBRARIES, f"{Path(__file__).parents[2]}/")
_STACK: Final = re.compile(r"^~+ Stack of .+ \(\d+\) ~+\n(?:  .*\n)*", re.MULTILINE)
"""The stack of one thread, as pytest-timeout prints it when a test exceeds its time limit."""

_FILE: Final = re.compile(r'^  File "(.+?)", line ', re.MULTILINE)
_NO_STACKS: Final = re.compile(r"(?:^\++ Timeout \++\n){2}", re.MULTILINE)


class ShortFailures:
    """Hides frames and causes inside hil from a failure.

    Args:
        config: The run; with `--full-trace` nothing is hidden.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._is_full = bool(config.getoption("fulltrace", default=False))
        self._chain: list[BaseException] = []
        self._crash: Any = None

    def hide_frames(self, call: pytest.CallInfo[Any]) -> None:
        """Hide frames of hil before pytest and its debugger see an error.

        Two copies of conftest.py call this twice for an error; the second call changes nothing.
        """
        if call.excinfo is None or self._is_full:
            return
        if self._chain and self._chain[0] is call.excinfo.value:
            return
        self._chain = list(_chain(call.excinfo.value))
        self._crash = call.excinfo.getrepr(style="value", chain=False).reprcrash  # before frames are hidden
        for one in self._chain:
            _hide_frames(one)

    def revise(self, item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
        """Leave the causes inside hil out of an error's report, and give it a headline."""
        chain, self._chain = self._chain, []
        if report.failed and not self._is_full:
            report.sections[:] = [(title, _without_our_stacks(text)) for title, text in report.sections]
        if chain and call.excinfo is not None and call.excinfo.value is chain[0]:
            _leave_causes_out(report.longrepr, chain)
            _leave_our_fixture_out(report.longrepr)
            if _is_raised_by_hil(chain[0]):
                _tell_headline(item, report.longrepr, self._crash)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that pytest shows before it, newest first."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        shown = None if following.__suppress_context__ else following.__context__
        following = following.__cause__ or shown


def _hide_frames(error: BaseException) -> None:
    """Hide the frames of `hil` and of libraries between them in the traceback of an error that hil raised."""
    if not _is_raised_by_hil(error):
        return
    frames = list(_frames(error.__traceback__))
    ours = [at for at, frame in enumerate(frames) if _is_ours(frame)]
    for frame in frames[ours[0] :] if ours else []:
        if _is_ours(frame) or frame.f_code.co_filename.startswith(_LIBRARIES):
            frame.f_locals["__tracebackhide__"] = True


def _is_raised_by_hil(error: BaseException) -> bool:
    """Return True for an error of hil, and for a failure of its `assert_*` methods."""
    if isinstance(error, HilError):
        return True
    frames = list(_frames(error.__traceback__))
    return isinstance(error, AssertionError) and bool(frames) and _is_ours(frames[-1])


def _without_our_stacks(text: str) -> str:
    """Leave out stacks of threads that run only hil and libraries."""
    told = _STACK.sub(lambda stack: "" if _is_without_tests(stack[0]) else stack[0], text)
    return _NO_STACKS.sub("the time limit stopped the test; --full-trace shows all threads\n", told)


def _is_without_tests(stack: str) -> bool:
    return all(file.startswith(_NOT_OF_TESTS) for file in _FILE.findall(stack))


def _leave_causes_out(longrepr: Any, chain: list[BaseException]) -> None:  # noqa: ANN401 - pytest has five kinds
    """Leave out errors that never left `hil`: the message of the error that replaced them tells both."""
    shown = getattr(longrepr, "chain", None)
    if isinstance(shown, list) and len(shown) == len(chain):
        inner = [at > 0 and _is_inner(one, chain[at - 1]) for at, one in enumerate(chain)]
        longrepr.chain = [part for part, left_out in zip(shown, reversed(inner), strict=True) if not left_out]


def _leave_our_fixture_out(longrepr: Any) -> None:  # noqa: ANN401 - pytest has five kinds
    """Leave the fixture of columns out of pytest's list of available fixtures: no test requests it itself."""
    listed = getattr(longrepr, "errorstring", None)
    if isinstance(listed, str):
        longrepr.errorstring = listed.replace(f"{PARAMETER}, ", "")


def _tell_headline(item: pytest.Item, longrepr: Any, crash: Any) -> None:  # noqa: ANN401 - pytest has five kinds
    """Begin the headline with the name of the error; make one for an error whose frames are all hidden."""
    if not hasattr(longrepr, "reprcrash") or crash is None:
        return
    if longrepr.reprcrash is None:
        path, line, _ = item.reportinfo()
        crash.path, crash.lineno = str(path), (line or 0) + 1
        longrepr.reprcrash = crash
    longrepr.reprcrash.message = longrepr.reprcrash.message.removeprefix(f"{HilError.__module__}.")


def _is_inner(cause: BaseException, error: BaseException) -> bool:
    """Return True if `hil` caught `cause`, and raised `error` for it."""
    first = next(_frames(cause.__traceback__), None)
    return isinstance(error, HilError) and (first is None or _is_ours(first))


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "hil"
