"""Count the requests of each test to its board: a test that passed without a request has tested nothing.

Requests to the test's board and uses of its console count, in set-up and body. Requests by the set-up of a
wider fixture count for each test that uses the fixture; otherwise the order of the tests would decide for
which test they count. A marker with `observes_only=True` says that its test judges what other tests did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.usb.request_log import RequestsSince
from hil.suite.marker_arguments import observes_only
from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.user_properties import describe_caught, describe_requests, describe_untested

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.errors import HilError
    from hil.suite.boards.lifecycle import BoardLifecycle

__all__ = ["RequestCounter", "errors_of_requests"]

_SINCE = pytest.StashKey["RequestsSince | None"]()
_ASKED = pytest.StashKey["int | None"]()


def errors_of_requests(item: pytest.Item) -> list[HilError]:
    """Return the errors of requests to a test's board in its present attempt, caught or not."""
    since = item.stash.get(_SINCE, None)
    return since.errors() if since is not None else []


class RequestCounter:
    """A pytest plugin, registered only if the run has tests that use a board.

    Args:
        boards: This process's board.
        required: Fail a hardware test that sent no request.
    """

    def __init__(self, boards: BoardLifecycle, *, required: bool) -> None:
        self._boards = boards
        self._required = required
        self._by_fixture: dict[pytest.FixtureDef[Any], int] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Start to count; each attempt of a test is counted separately."""
        item.stash[_SINCE] = item.stash[_ASKED] = None
        board = None if kind_of(item) is Kind.NO_HARDWARE else self._boards.held_board()
        if board is not None:
            item.stash[_SINCE] = RequestsSince(board.serial)
            describe_requests(item, 0)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Count the requests of a fixture's set-up; keep the count until the fixture ends."""
        board = self._boards.held_board()
        since = RequestsSince(board.serial) if board is not None else None
        result = yield
        if since is not None:
            self._by_fixture[fixturedef] = since.times()
        return result

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Forget the count of a fixture that has ended."""
        self._by_fixture.pop(fixturedef, None)

    def _asked_by_fixtures(self, item: pytest.Item) -> int:
        """Return the requests by the set-ups of a test's fixtures, also before this test."""
        return sum(self._by_fixture.get(fixture, 0) for fixture in _fixtures_of(item))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Count the requests until the end of the body, and note errors that the test caught."""
        since = item.stash.get(_SINCE, None)
        try:
            result = yield
        finally:
            if since is not None:
                asked = max(since.times(), self._asked_by_fixtures(item))
                item.stash[_ASKED] = asked
                describe_requests(item, asked)
        if since is not None:
            describe_caught(item, [str(error).splitlines()[0] for error in since.errors()])
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Mark a pass without a request, and fail it if hardware is required."""
        report = yield
        since, asked = item.stash.get(_SINCE, None), item.stash.get(_ASKED, None)
        unasked = since is not None and asked == 0 and call.when == "call"
        if not unasked or not report.passed or hasattr(report, "wasxfail") or observes_only(item):
            return report
        describe_untested(item, report)
        if self._required and since is not None and kind_of(item) is Kind.HARDWARE:
            report.outcome = "failed"
            report.longrepr = (
                f"this test never asked board {since.serial} for anything: it passed, and has tested "
                "nothing. Let it use the board, or mark it @pytest.mark.hardware(observes_only=True)"
            )
        return report


def _fixtures_of(item: pytest.Item) -> set[pytest.FixtureDef[Any]]:
    """Return the fixtures of a test, and the fixtures that they extend under the same name."""
    request = getattr(item, "_request", None)
    found: set[pytest.FixtureDef[Any]] = set()
    for name, got in getattr(request, "_fixture_defs", {}).items():
        candidates = list(getattr(request, "_arg2fixturedefs", {}).get(name, ()))
        below = candidates[: candidates.index(got)] if got in candidates else []
        chain = [got]
        while name in chain[-1].argnames and below:
            chain.append(below.pop())
        found.update(chain)
    return found
