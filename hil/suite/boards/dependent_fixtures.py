"""The fixtures that rest on this process's board, however they got it, and how they end.

pytest ends a fixture with its scope. It knows what a fixture asked for by the names of its arguments, not by
`getfixturevalue`. A board may be given back before that scope ends, and the fixtures that rest on it must end
first.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from hil.suite.hook_errors import contained
from hil.suite.markers import BOARD_FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hil.suite.outcome.time_limit import TimeLimit
    from hil.suite.outcome.usb_block import UsbBlock

__all__ = ["DependentFixtures", "raise_together"]

Fixture: TypeAlias = pytest.FixtureDef[Any]
Request: TypeAlias = Any  # pytest does not export its type

_NARROWEST_FIRST: Final = ("function", "class", "module", "package", "session")


class DependentFixtures:
    """A pytest plugin that notes which fixtures rest on the board, and ends them when `end` is called.

    A fixture rests on the board if it was being set up while the board was asked for, or if it asked for a
    fixture that does.

    Args:
        block: Lifted while fixtures end: their tear-down may use the board, even in a no_hardware test.
        limit: The time limit under which fixtures end, also between tests.

    Attributes:
        block: The argument.
        limit: The argument.
    """

    def __init__(self, block: UsbBlock, limit: TimeLimit) -> None:
        self.block = block
        self.limit = limit
        self._begun: list[Fixture] = []
        self._set_up: dict[Fixture, Request] = {}  # in the order in which they were complete, as pytest's own
        self._resting: set[Fixture] = set()
        self._raised: list[tuple[BaseException, str]] = []

    def __bool__(self) -> bool:
        """Return True if any fixture rests on the board."""
        return bool(self._resting)

    def board_asked_for(self) -> None:
        """Take note that the fixtures that are being set up rest on the board."""
        self._resting.update(self._begun)

    def end(self) -> list[BaseException]:
        """End the fixtures in pytest's own order: the narrowest scope first, of one scope the latest first.

        Returns:
            What their tear-downs raised; each fixture is ended, also if another one failed.
        """
        errors: list[BaseException] = []
        while resting := [fixture for fixture in self._set_up if fixture in self._resting]:
            last = min(reversed(resting), key=self._breadth)
            request = self._set_up[last]
            try:
                with contained(errors.append), self.block.lifted(), self.limit.running():
                    last.finish(request)
            finally:
                self._forget(last)
        self._resting.intersection_update(self._begun)
        return errors

    def is_own(self, error: BaseException) -> bool:
        """Return True if an error of a tear-down came from the test itself or a fixture of its alone.

        False: all of it came from fixtures of a wider scope.
        """
        if isinstance(error, BaseExceptionGroup):
            return any(map(self.is_own, error.exceptions))
        scopes = [scope for raised, scope in self._raised if raised is error]
        return not scopes or scopes[0] == "function"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Forget what the tear-downs of the test before raised."""
        self._raised.clear()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Fixture, request: Request) -> Generator[None, object, object]:
        """Watch what a fixture asks for, now and later."""
        if any(self._rests(request, name) for name in fixturedef.argnames):
            self._resting.add(fixturedef)
        if "request" in fixturedef.argnames:
            self._watch_requests(fixturedef, request)
        self._watch_finalizers(fixturedef)
        self._begun.append(fixturedef)
        try:
            return (yield)
        except BaseException:
            if fixturedef.argname in BOARD_FIXTURES:
                fixturedef.finish(request)  # pytest would keep the error for every test of the session
            raise
        finally:
            self._begun.pop()
            self._set_up[fixturedef] = request

    @pytest.hookimpl(trylast=True)
    def pytest_fixture_post_finalizer(self, fixturedef: Fixture) -> None:
        """Forget a fixture that has ended."""
        self._forget(fixturedef)

    def _forget(self, fixture: Fixture) -> None:
        vars(fixture).pop("addfinalizer", None)
        self._set_up.pop(fixture, None)
        if fixture not in self._begun:
            self._resting.discard(fixture)

    def _breadth(self, fixture: Fixture) -> int:
        return _NARROWEST_FIRST.index(self._set_up[fixture].scope)

    def _rests(self, request: Request, name: str) -> bool:
        """Return True if a fixture that was just asked for rests on the board; find a failed one by name."""
        got = request._fixture_defs.get(name)  # noqa: SLF001 - which of several that override each other
        return got in self._resting or (got is None and any(one.argname == name for one in self._resting))

    def _watch_requests(self, fixture: Fixture, request: Request) -> None:
        ask = request.getfixturevalue

        def getfixturevalue(argname: str) -> Any:  # noqa: ANN401 - any fixture's value
            __tracebackhide__ = True
            try:
                return ask(argname)
            finally:
                if self._rests(request, argname):
                    self._resting.add(fixture)

        request.getfixturevalue = getfixturevalue

    def _watch_finalizers(self, fixture: Fixture) -> None:
        """Let the tear-down of a fixture that rests on the board use USB, also in a no_hardware test."""
        add = fixture.addfinalizer

        def addfinalizer(finalizer: Callable[[], object]) -> None:
            add(lambda: self._finalize(fixture, finalizer))

        fixture.addfinalizer = addfinalizer  # type: ignore[method-assign]

    def _finalize(self, fixture: Fixture, finalizer: Callable[[], object]) -> None:
        try:
            with self.block.lifted() if fixture in self._resting else nullcontext():
                finalizer()
        except BaseException as error:
            self._raised.append((error, str(fixture.scope)))  # first the fixture that ended with it
            raise


def raise_together(errors: list[BaseException], what: str) -> None:
    """Raise these errors as pytest does: one as it is, several as a group.

    Raises:
        BaseException: The only error, or a group of all; nothing is raised if there is none.
    """
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(what, errors)
