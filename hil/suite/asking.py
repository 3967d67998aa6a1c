"""Whether a test asked its board for anything: one that did not has tested nothing, though it passed.

Counted are requests to the board that the test holds, and uses of its console, in set-up and body. What the
set-up of a fixture of a wider scope asked counts for each test that needs the fixture: else it would be the
schedule that decides for which. `observes_only=True` in a test's marker says that it judges what others did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from hil.dutlink.asked import times_asked
from hil.suite.ledger import describe_asking, describe_unasked
from hil.suite.marker_arguments import observes_only
from hil.suite.selection import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.dutlink.board import Board

__all__ = ["Asking"]

_BEFORE = pytest.StashKey["tuple[str, int] | None"]()
_ASKED = pytest.StashKey["int | None"]()


class BoardHolder(Protocol):
    """Knows this process's board."""

    def held_board(self) -> Board | None:
        """Return the board that is held and was not lost, if there is one."""
        ...


class Asking:
    """The plugin.

    Args:
        boards: Knows the board.
        required: A hardware test that never asked its board fails.
    """

    def __init__(self, boards: BoardHolder, *, required: bool) -> None:
        self._boards = boards
        self._required = required
        self._by_fixture: dict[str, dict[int, int]] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Begin to count; each attempt of a test counts for itself."""
        item.stash[_BEFORE] = item.stash[_ASKED] = None
        board = None if kind_of(item) is Kind.NO_HARDWARE else self._boards.held_board()
        if board is not None:
            item.stash[_BEFORE] = (board.serial, times_asked(board.serial))
            describe_asking(item, 0)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Note how often the set-up of a fixture asked the board, as long as its value is kept."""
        board = self._boards.held_board()
        before = times_asked(board.serial) if board is not None else 0
        result = yield
        if board is not None:
            made = self._by_fixture.setdefault(fixturedef.argname, {})
            made[id(fixturedef)] = times_asked(board.serial) - before
        return result

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Forget it with the value."""
        self._by_fixture.get(fixturedef.argname, {}).pop(id(fixturedef), None)

    def _asked_by_fixtures(self, item: pytest.Item) -> int:
        """Return how often the fixtures that a test needs asked the board, whenever they were set up."""
        names = dict.fromkeys(getattr(item, "fixturenames", ()))
        return sum(sum(self._by_fixture.get(name, {}).values()) for name in names)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note how often the board was asked until the end of the body."""
        try:
            return (yield)
        finally:
            known = item.stash.get(_BEFORE, None)
            if known is not None:
                serial, before = known
                asked = max(times_asked(serial) - before, self._asked_by_fixtures(item))
                item.stash[_ASKED] = asked
                describe_asking(item, asked)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell a pass apart that says nothing of the board, and fail it where hardware is required."""
        report = yield
        known, asked = item.stash.get(_BEFORE, None), item.stash.get(_ASKED, None)
        unasked = known is not None and asked == 0 and call.when == "call"
        if not unasked or not report.passed or hasattr(report, "wasxfail") or observes_only(item):
            return report
        describe_unasked(item, report)
        if self._required and known is not None and kind_of(item) is Kind.HARDWARE:
            report.outcome = "failed"
            report.longrepr = (
                f"this test never asked board {known[0]} for anything: it passed, and has tested nothing. "
                "Let it use the board, or mark it @pytest.mark.hardware(observes_only=True)"
            )
        return report
