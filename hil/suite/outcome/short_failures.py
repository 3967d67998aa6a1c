"""Shorten the traceback of an error that hil raised: it ends at the test's own line.

`--full-trace` shows all of it.

A frame is hidden as pytest documents it, by a local variable `__tracebackhide__`. `--pdb` obeys the same
variable and stops in the test.
"""

from __future__ import annotations

import re
import sysconfig
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.dutlink.timing import outer_limit
from hil.errors import HilError, UsageError
from hil.suite.columns.column import PARAMETER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    from hil.dutlink.board import Board

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
        board: Returns the board of the present test.
    """

    def __init__(self, config: pytest.Config, board: Callable[[], Board | None]) -> None:
        self._board = board
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
        if _is_time_limit(call.excinfo.value):
            _explain_time_limit(call.excinfo.value, self._board())
        self._chain = list(_chain(call.excinfo.value))
        if _is_raised_by_hil(call.excinfo.value):  # now: frames are hidden below
            self._crash = call.excinfo.getrepr(style="value", chain=False).reprcrash
        for one in self._chain:
            _hide_frames(one)

    def revise(self, item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
        """Leave the causes inside hil out of an error's report, and give it a headline."""
        chain, self._chain = self._chain, []
        if report.failed and not self._is_full:
            sections = [(title, _without_our_stacks(text)) for title, text in report.sections]
            report.sections[:] = [(title, text) for title, text in sections if text]
        if chain and call.excinfo is not None and call.excinfo.value is chain[0]:
            _leave_causes_out(report.longrepr, chain)
            _leave_our_fixture_out(report.longrepr)
            if isinstance(chain[0], UsageError):
                _leave_hint_out(report.longrepr)
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
    """Hide frames of hil and of libraries below it, in an error that hil or a time limit raised."""
    if not (_is_raised_by_hil(error) or _is_time_limit(error)):
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


def _is_time_limit(error: BaseException) -> bool:
    """Return True for the failure of a test that pytest-timeout stopped."""
    return isinstance(error, pytest.fail.Exception) and any(
        frame.f_globals.get("__name__") == "pytest_timeout" for frame in _frames(error.__traceback__)
    )


def _explain_time_limit(error: Any, board: Board | None) -> None:  # noqa: ANN401 - mypy knows no name for it
    """Add to the failure of a time limit what the test waited for, its console's last line, and advice."""
    calls = extract_tb(error.__traceback__)
    of_test = [one for one in calls if not one.filename.startswith(_NOT_OF_TESTS) and one.line]
    why = [f"the test was at line {of_test[-1].lineno}: {of_test[-1].line}"] if of_test else []
    if board is not None:
        from hil.dutlink.console.expect_error import LAST_BYTES, describe_last_line  # noqa: PLC0415 - the driver is for runs with boards

        with suppress(HilError):
            transcript = board.console.transcript
            why.append(describe_last_line(board.serial, transcript.between(transcript.position - LAST_BYTES)))
    error.msg = (
        f"{str(error).rstrip('.')}: {'; '.join(why)}\n"
        f"  try: raise @pytest.mark.timeout({outer_limit.whole_s:g}) if this may take longer; "
        "--full-trace shows all threads"
    )


def _without_our_stacks(text: str) -> str:
    """Leave out stacks of threads that run only hil and libraries; the error tells how to see them."""
    told = _STACK.sub(lambda stack: "" if _is_without_tests(stack[0]) else stack[0], text)
    return _NO_STACKS.sub("", told)


def _is_without_tests(stack: str) -> bool:
    return all(file.startswith(_NOT_OF_TESTS) for file in _FILE.findall(stack))


def _leave_causes_out(longrepr: Any, chain: list[BaseException]) -> None:  # noqa: ANN401 - pytest has five kinds
    """Leave out errors that never left `hil`: the message of the error that replaced them tells both."""
    shown = getattr(longrepr, "chain", None)
    if isinstance(shown, list) and len(shown) == len(chain):
        inner = [at > 0 and _is_inner(one, chain[at - 1]) for at, one in enumerate(chain)]
        longrepr.chain = [part for part, left_out in zip(shown, reversed(inner), strict=True) if not left_out]


def _leave_hint_out(longrepr: Any) -> None:  # noqa: ANN401 - pytest has five kinds
    """Leave out what pytest says of a traceback without lines: a misspelt word is no error of the code."""
    for trace, *_ in getattr(longrepr, "chain", ()):
        if all(getattr(entry, "reprfileloc", None) is None for entry in trace.reprentries):
            trace.extraline = None


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
