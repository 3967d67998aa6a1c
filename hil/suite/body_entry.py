"""Fail a test that passed although its body never ran.

unittest does not await an `async def` of a plain `TestCase`, and a plugin may answer `pytest_pyfunc_call`
without a call of the test. Each would count as a test that ran.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.attempts import attempts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

__all__ = ["BodyEntry", "fail_unentered"]

_RESULTS = pytest.StashKey[list[object]]()
"""What each call of the test's function returned; empty if it was never called."""

_REASON = (
    "the body of this test never ran in this process: it has tested nothing. An `async def` in a TestCase "
    "needs unittest.IsolatedAsyncioTestCase; otherwise a plugin answered pytest_pyfunc_call in its place"
)


class BodyEntry:
    """A pytest plugin that notes calls of test functions, for runs that have board tests."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Note the call of a function; plugins for async tests see the kind of function that it is."""
        with _noted(pyfuncitem):
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note the call of a method of unittest, which calls it by its name."""
        if not isinstance(item, pytest.Function) or not hasattr(type(item.instance), "defaultTestResult"):
            return (yield)
        with _noted(item):
            setattr(item.instance, item.name, item.obj)
            try:
                return (yield)
            finally:
                vars(item.instance).pop(item.name, None)


def fail_unentered(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Fail a test that uses a board and passed although its body never ran; no xfail excuses it."""
    results = item.stash.get(_RESULTS, None)
    if call.when != "call" or results is None or attempts_of(item).in_body:
        return
    if kind_of(item) is not Kind.NO_HARDWARE and all(map(_never_began, results)):
        attempts_of(item).not_excused_in = call.when
        call.excinfo = pytest.CallInfo.from_call(lambda: pytest.fail(_REASON, pytrace=False), "call").excinfo


@contextmanager
def _noted(item: pytest.Function) -> Iterator[None]:
    """Note what each call of a test's function returns, for a `with` block."""
    original, results = item.obj, item.stash.setdefault(_RESULTS, [])
    results.clear()
    item.obj = _noting(original, results)
    try:
        yield
    finally:
        item.obj = original


def _noting(function: Callable[..., Any], results: list[object]) -> Callable[..., Any]:
    """Return a function of the same kind that notes its calls."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the test takes
            results.append(None)
            return await function(*arguments, **named)

        return awaited

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the test takes
        __tracebackhide__ = True
        results.append(None)
        results[-1] = result = function(*arguments, **named)
        return result

    return called


def _never_began(result: object) -> bool:
    """Return True if a call only made a coroutine or a generator that no code has started."""
    if inspect.iscoroutine(result):
        return inspect.getcoroutinestate(result) == inspect.CORO_CREATED
    return inspect.isgenerator(result) and inspect.getgeneratorstate(result) == inspect.GEN_CREATED
