"""Count the requests of each test to its boards, and find the errors of its boards that a test caught.

A test that passed without a request to each of its boards has tested nothing. Requests to a board and uses of
its console count, in set-up and body. Requests by the set-up of a wider fixture count for each test that uses
it, or the order of the tests would decide for which test they count. The same holds for errors, those of the
tear-down included. A marker with `observes_only=True` says that its test judges what other tests did.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest

from hil.dutlink.usb.request_log import RequestsSince, record_error
from hil.errors import BoardLostError, with_names
from hil.suite.marker_arguments import observes_only
from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.error_chain import is_excuse
from hil.suite.outcome.user_properties import describe_caught, describe_requests, describe_untested

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from hil.errors import HilError
    from hil.suite.boards.dependent_fixtures import DependentFixtures
    from hil.suite.boards.lifecycle import BoardLifecycle

__all__ = ["RequestCounter", "errors_of_requests"]

Errors: TypeAlias = "Callable[[], list[HilError]]"

_SINCE = pytest.StashKey[list[RequestsSince]]()
_UNASKED = pytest.StashKey[list[str]]()
"""The boards that the test never asked, from the end of its body on."""

_ERRORS = pytest.StashKey[Errors]()
_HAS_PASSED = pytest.StashKey[bool]()


def errors_of_requests(item: pytest.Item) -> list[HilError]:
    """Return the errors of requests to a test's boards in its present attempt, caught or not."""
    return item.stash.get(_ERRORS, _no_errors)()


def _no_errors() -> list[HilError]:
    return []


class _SetUp(NamedTuple):
    """What the set-up of a fixture asked the boards for.

    Attributes:
        requests: How many requests to each board, by serial number.
        errors: The errors of requests, caught or not.
    """

    requests: dict[str, int]
    errors: list[HilError]


class RequestCounter:
    """A pytest plugin, registered only if the run has tests that use a board.

    Args:
        boards: This process's board.
        fixtures: Tracks which fixtures a fixture requested.
        required: Fail a hardware test that sent no request.
    """

    def __init__(self, boards: BoardLifecycle, fixtures: DependentFixtures, *, required: bool) -> None:
        self._boards = boards
        self._fixtures = fixtures
        self._required = required
        self._by_fixture: dict[pytest.FixtureDef[Any], _SetUp] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Start to count; each attempt of a test is counted separately."""
        item.stash[_UNASKED] = []
        item.stash[_ERRORS] = _no_errors
        item.stash[_HAS_PASSED] = False
        boards = [] if kind_of(item) is Kind.NO_HARDWARE else self._boards.usable_boards()
        since = item.stash[_SINCE] = [RequestsSince(board.serial) for board in boards]
        if not since:
            return (yield)
        item.stash[_ERRORS] = lambda: self._errors_of(item, since)
        describe_requests(item, 0)
        with self._noting_loss(since):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Count the requests of a fixture's set-up; keep the count until the fixture ends."""
        since = [RequestsSince(board.serial) for board in self._boards.usable_boards()]
        if not since:
            return (yield)
        try:
            return (yield)
        finally:  # pytest keeps an error of a set-up for the tests to come
            requests = {one.serial: one.times() for one in since}
            self._by_fixture[fixturedef] = _SetUp(requests, _errors_since(since))

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Forget the count of a fixture that has ended."""
        self._by_fixture.pop(fixturedef, None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Count the requests until the end of the body, and note errors that the test caught."""
        since = item.stash.get(_SINCE, [])
        if not since:
            return (yield)
        try:
            with self._noting_loss(since):
                result = yield
        finally:
            asked = {one.serial: self._requests_of(item, one) for one in since}
            item.stash[_UNASKED] = [serial for serial, times in asked.items() if not times]
            describe_requests(item, sum(asked.values()))
        item.stash[_HAS_PASSED] = True
        describe_caught(item, errors_of_requests(item))
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note errors that the tear-down of a test caught, and those of fixtures that end with it."""
        since = item.stash.get(_SINCE, [])
        if not since or not item.stash[_HAS_PASSED]:
            return (yield)
        before = errors_of_requests(item)
        with self._noting_loss(since):
            result = yield
        describe_caught(item, before + [one for one in errors_of_requests(item) if one not in before])
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Mark a pass without a request, and fail it if hardware is required."""
        report = yield
        unasked = item.stash.get(_UNASKED, []) if call.when == "call" else []
        if not unasked or not report.passed or hasattr(report, "wasxfail") or observes_only(item):
            return report
        describe_untested(item, report)
        if self._required and kind_of(item) is Kind.HARDWARE:
            report.outcome = "failed"
            boards = " or ".join(with_names(f"board {one}") for one in unasked)
            report.longrepr = (
                f"this test never asked {boards} for anything: it passed, and has tested nothing. "
                "Let it use the board, or mark it @pytest.mark.hardware(observes_only=True)"
            )
        return report

    def _set_ups_of(self, item: pytest.Item) -> list[_SetUp]:
        """Return what the set-ups of a test's fixtures asked for, also before this test."""
        rests_on = self._fixtures.with_requested(_fixtures_of(item))
        return [self._by_fixture[one] for one in rests_on if one in self._by_fixture]

    def _requests_of(self, item: pytest.Item, since: RequestsSince) -> int:
        """Return how often a test, or the set-ups of its fixtures, asked a board."""
        by_fixtures = sum(one.requests.get(since.serial, 0) for one in self._set_ups_of(item))
        return max(since.times(), by_fixtures)

    def _errors_of(self, item: pytest.Item, since: list[RequestsSince]) -> list[HilError]:
        """Return the errors of a test and of the set-ups of its fixtures, each once."""
        before = [error for set_up in self._set_ups_of(item) for error in set_up.errors]
        return list({id(error): error for error in (*before, *_errors_since(since))}.values())

    @contextmanager
    def _noting_loss(self, since: list[RequestsSince]) -> Iterator[None]:
        """Record that a board left the bus in a block that does not fail: by whatever error, it was caught.

        A test may use the tty, the stick or libusb without hil, which then sees no error.
        """
        try:
            yield
        except BaseException as error:
            if is_excuse(error):
                self._note_loss(since)
            raise
        self._note_loss(since)

    def _note_loss(self, since: list[RequestsSince]) -> None:
        gone = {held.board.serial for held in self._boards.session.all_held if held.has_left_bus}
        for one in since:
            if one.serial in gone and not one.errors():
                lost = BoardLostError(f"board {one.serial} left the bus in this test", serial=one.serial)
                record_error(one.serial, lost)


def _errors_since(since: list[RequestsSince]) -> list[HilError]:
    return [error for one in since for error in one.errors()]


def _fixtures_of(item: pytest.Item) -> set[pytest.FixtureDef[Any]]:
    """Return the fixtures of a test, and the fixtures that they extend under the same name."""
    request = getattr(item, "_request", None)
    known: dict[str, Sequence[pytest.FixtureDef[Any]]] = getattr(request, "_arg2fixturedefs", {})
    names: list[str] = getattr(item, "fixturenames", [])
    failed = {name: known[name][-1] for name in names if known.get(name)}  # not in `_fixture_defs`
    found: set[pytest.FixtureDef[Any]] = set()
    for name, got in (failed | getattr(request, "_fixture_defs", {})).items():
        candidates = list(known.get(name, ()))
        below = candidates[: candidates.index(got)] if got in candidates else []
        chain = [got]
        while name in chain[-1].argnames and below:
            chain.append(below.pop())
        found.update(chain)
    return found
