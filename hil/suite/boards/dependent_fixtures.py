"""Fixtures that depend on this process's board: track them, and end them before the board is released.

pytest ends a fixture with its scope. A board may be released before that scope ends, and the fixtures that
depend on it must end first. pytest knows only fixtures that are requested by the names of arguments; those
requested by `getfixturevalue` are tracked here, too.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pytest

from hil.suite.hook_errors import contained
from hil.suite.markers import BOARD_FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from hil.suite.outcome.time_limit import TimeLimit
    from hil.suite.outcome.usb_block import UsbBlock

__all__ = ["DependentFixtures", "TearDownError", "raise_together"]

Fixture: TypeAlias = pytest.FixtureDef[Any]
Request: TypeAlias = Any  # pytest does not export its type

_NARROWEST_FIRST: Final = ("function", "class", "module", "package", "session")


class TearDownError(NamedTuple):
    """The error of a fixture's tear-down.

    Attributes:
        fixture: The name of the fixture.
        error: The error.
    """

    fixture: str
    error: BaseException


class DependentFixtures:
    """A pytest plugin that tracks the fixtures that depend on the board; `end` ends them.

    A fixture depends on the board if the board was requested during its set-up, or if it requested a fixture
    that depends on the board.

    Args:
        block: Lifted while fixtures end: their tear-down may use the board, even in a no_hardware test.
        limit: The time limit for the tear-downs, also between tests.

    Attributes:
        block: The argument.
        limit: The argument.
    """

    def __init__(self, block: UsbBlock, limit: TimeLimit) -> None:
        self.block = block
        self.limit = limit
        self._in_setup: list[Fixture] = []
        self._set_up: dict[Fixture, Request] = {}  # in the order in which their set-ups ended, as in pytest
        self._dependent: set[Fixture] = set()
        self._requested: dict[Fixture, set[Fixture]] = {}
        self._raised: list[tuple[BaseException, str]] = []

    def __bool__(self) -> bool:
        """Return True if any fixture depends on the board."""
        return bool(self._dependent)

    def with_requested(self, fixtures: Iterable[Fixture]) -> set[Fixture]:
        """Return fixtures and all that they requested, by arguments or by `getfixturevalue`.

        By these, a count of requests to the board finds the fixtures that a test rests on.
        """
        found: set[Fixture] = set()
        waiting = list(fixtures)
        while waiting:
            fixture = waiting.pop()
            if fixture not in found:
                found.add(fixture)
                waiting += self._requested.get(fixture, ())
        return found

    def track_board_request(self) -> None:
        """Note that the board was requested: the fixtures in set-up depend on it."""
        self._dependent.update(self._in_setup)

    def end(self) -> list[TearDownError]:
        """End the fixtures in pytest's own order: the narrowest scope first, of one scope the latest first.

        Returns:
            The errors of the tear-downs; each fixture is ended, even if another one failed.
        """
        errors: list[TearDownError] = []
        while dependent := [fixture for fixture in self._set_up if fixture in self._dependent]:
            last = min(reversed(dependent), key=self._breadth)
            request = self._set_up[last]
            keep = partial(self._keep_error, errors, last.argname)
            try:
                with contained(keep), self.block.lifted(), self.limit.running():
                    last.finish(request)
            finally:
                self._forget(last)
        self._dependent.intersection_update(self._in_setup)
        return errors

    @staticmethod
    def _keep_error(errors: list[TearDownError], fixture: str, error: BaseException) -> None:
        errors.append(TearDownError(fixture, error))

    def is_own(self, error: BaseException) -> bool:
        """Return True if an error of a tear-down came from the test or from its function-scoped fixtures."""
        if isinstance(error, BaseExceptionGroup):
            return any(map(self.is_own, error.exceptions))
        scopes = [scope for raised, scope in self._raised if raised is error]
        return not scopes or scopes[0] == "function"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Forget the errors of the last test's tear-downs."""
        self._raised.clear()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Fixture, request: Request) -> Generator[None, object, object]:
        """Track which fixtures a fixture requests, in its set-up and later."""
        for name in fixturedef.argnames:
            self._note_edge(fixturedef, request, name)
        if "request" in fixturedef.argnames:
            self._watch_requests(fixturedef, request)
        self._watch_finalizers(fixturedef)
        self._in_setup.append(fixturedef)
        try:
            return (yield)
        except BaseException:
            if fixturedef.argname in BOARD_FIXTURES:
                fixturedef.finish(request)  # pytest would keep the error for every test of the session
            raise
        finally:
            self._in_setup.pop()
            self._set_up[fixturedef] = request

    @pytest.hookimpl(trylast=True)
    def pytest_fixture_post_finalizer(self, fixturedef: Fixture) -> None:
        """Forget a fixture that has ended."""
        self._forget(fixturedef)

    def _forget(self, fixture: Fixture) -> None:
        vars(fixture).pop("addfinalizer", None)
        self._set_up.pop(fixture, None)
        self._requested.pop(fixture, None)
        if fixture not in self._in_setup:
            self._dependent.discard(fixture)

    def _breadth(self, fixture: Fixture) -> int:
        return _NARROWEST_FIRST.index(self._set_up[fixture].scope)

    def _note_edge(self, fixture: Fixture, request: Request, name: str) -> None:
        """Note that a fixture requests another, and that it depends on the board if the other does.

        A fixture whose set-up failed is looked up by name: pytest has no definition of it in the request.
        """
        got = request._fixture_defs.get(name)  # noqa: SLF001 - which of several that override each other
        if got is not None:
            self._requested.setdefault(fixture, set()).add(got)
        if got in self._dependent or (got is None and any(one.argname == name for one in self._dependent)):
            self._dependent.add(fixture)

    def _watch_requests(self, fixture: Fixture, request: Request) -> None:
        ask = request.getfixturevalue

        def getfixturevalue(argname: str) -> Any:  # noqa: ANN401 - any fixture's value
            __tracebackhide__ = True
            try:
                return ask(argname)
            finally:
                self._note_edge(fixture, request, argname)

        request.getfixturevalue = getfixturevalue

    def _watch_finalizers(self, fixture: Fixture) -> None:
        """Let the tear-down of a fixture that depends on the board use USB, also in a no_hardware test."""
        add = fixture.addfinalizer

        def addfinalizer(finalizer: Callable[[], object]) -> None:
            add(lambda: self._finalize(fixture, finalizer))

        fixture.addfinalizer = addfinalizer  # type: ignore[method-assign]

    def _finalize(self, fixture: Fixture, finalizer: Callable[[], object]) -> None:
        try:
            with self.block.lifted() if fixture in self._dependent else nullcontext():
                finalizer()
        except BaseException as error:
            self._raised.append((error, str(fixture.scope)))  # the innermost fixture first
            raise


def raise_together(errors: list[BaseException], what: str) -> None:
    """Raise errors as pytest does: one as it is, several as a group.

    Raises:
        BaseException: The only error, or a group of all; nothing is raised if there is none.
    """
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(what, errors)
