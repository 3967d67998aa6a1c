"""pytest hooks that acquire and release a board around each test, for runs that have board tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.suite.boards.dependent_fixtures import raise_together
from hil.suite.hook_errors import contained
from hil.suite.markers import Kind, kind_of
from hil.suite.original_code import note_test
from hil.suite.outcome.attempts import attempts_of, fail_skipped_rerun, skip_for_subtests
from hil.suite.outcome.user_properties import facts_of, forget_judgement, has_verdict, overrule_judgement

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.suite.boards.lifecycle import BoardLifecycle
    from hil.suite.outcome.attempts import Attempts
    from hil.suite.outcome.usb_block import UsbBlock

__all__ = ["BoardHooks", "MissingBoards", "ReturnedTests"]

_RETURNED = pytest.StashKey[bool]()
"""Whether the test is returned to the controller, which has another board for it."""


class BoardHooks:
    """pytest hooks that acquire and release the board.

    Args:
        boards: This process's board.
        block: Keeps USB from no_hardware tests.
    """

    def __init__(self, boards: BoardLifecycle, block: UsbBlock) -> None:
        self._boards = boards
        self._block = block

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, bool | None, bool | None]:
        """Acquire a board before the test's time limit starts; block USB for a no_hardware test."""
        if kind_of(item) is Kind.NO_HARDWARE:
            was_active, self._block.active = self._block.active, True  # by a test that this run is inside
            try:
                return (yield)
            finally:
                self._block.active = was_active
                note_test(item.nodeid)
        begins_here = self._boards.acquire_for(item, nextitem)
        item.stash[_RETURNED] = not begins_here
        try:
            return (yield)
        finally:
            note_test(item.nodeid)
            self._boards.release_if_last(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin an attempt, which is judged separately; raise the skip of the test's author, if any."""
        if kind_of(item) is not Kind.NO_HARDWARE:
            forget_judgement(item)
            attempts_of(item).begin_on_board()
            self._boards.begin_attempt(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note that the body runs: reports that are made now are those of subtests."""
        attempts = attempts_of(item)
        attempts.in_body = True
        try:
            return (yield)
        finally:
            attempts.in_body = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around xfail
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the flashed image into the last report of a test; let no `xfail` excuse missing hardware."""
        if call.when == "teardown" and kind_of(item) is not Kind.NO_HARDWARE:
            self._boards.record_result(item)
        attempts = attempts_of(item)
        attempts.is_judged = False
        report = yield
        is_own = call.when == "call" and not attempts.in_body
        if is_own and report.passed and has_verdict(report):
            skip_for_subtests(report, facts_of(report)["hil_reason"])
        if attempts.not_excused_in == call.when and hasattr(report, "wasxfail"):
            report.outcome = "failed"
            del report.wasxfail
        if attempts.on_boards:
            self._settle_attempt(item, report, attempts, raised=call.excinfo is not None)
        if call.when == "call":
            expected = hasattr(report, "wasxfail")
            attempts.has_passed = report.passed and not expected and not attempts.present_has_failed
        return report

    @staticmethod
    def _settle_attempt(
        item: pytest.Item, report: pytest.TestReport, attempts: Attempts, *, raised: bool
    ) -> None:
        """Settle what a report says of the present attempt, whichever plugin reruns the test.

        If an earlier attempt failed and this one skips, it fails. A failure of the test itself is noted as
        the first of this attempt, and overrules the verdict of an earlier subtest or phase.
        """
        earlier = next(filter(None, attempts.on_boards[:-1]), None)
        if earlier is not None and not report.passed and not hasattr(report, "wasxfail"):
            overrule_judgement(item, report)
            if report.skipped:
                fail_skipped_rerun(report, earlier)
        own = not attempts.is_judged and (raised or not has_verdict(report))
        if report.failed and own:
            overrule_judgement(item, report)
            attempts.on_boards[-1] = attempts.on_boards[-1] or report

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside the time limit, the capture and the recorders
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """End the fixtures of the board in the tear-down of the last test on it, which gets their errors.

        So does a test that closed the files of a lease.
        """
        errors: list[BaseException] = []
        result = None
        with contained(errors.append):
            result = yield
        with self._block.lifted():
            errors += self._boards.end_fixtures(item, nextitem, failed=errors)
            errors += self._boards.end_lost_leases()
        raise_together(errors, f"errors in the tear-down of {item.nodeid}")
        return result

    @pytest.hookimpl(tryfirst=True)  # the terminal formats a traceback, which takes seconds on a busy machine
    def pytest_keyboard_interrupt(self) -> None:
        """End the fixtures of the board and release it, before other plugins do anything."""
        with self._block.lifted():
            self._boards.release.end_late_fixtures()
            self._boards.release.after_interrupt()

    @pytest.hookimpl(tryfirst=True)  # before pytest's own, where an error would end pytest
    def pytest_sessionfinish(self) -> None:
        """End the fixtures of the board after the last test; errors there fail the run."""
        self._boards.release.end_late_fixtures()


class MissingBoards:
    """A pytest plugin that raises why a test has no board.

    Its set-up is not `tryfirst`: it comes after that of pytest's skipping, and before that of fixtures.

    Args:
        boards: This process's board.
    """

    def __init__(self, boards: BoardLifecycle) -> None:
        self._boards = boards

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Raise why a test has no board, unless its author skipped it."""
        if kind_of(item) is not Kind.NO_HARDWARE:
            self._boards.raise_if_missing(item)


class ReturnedTests:
    """A plugin that does not run tests that were returned to the controller."""

    @pytest.hookimpl(tryfirst=True)  # inside the wrappers of a test, in place of pytest's runner
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Treat a returned test as done, and tear down what the next test does not need.

        The previous test left that tear-down to this test, so an error in it is this test's.
        """
        if not item.stash.get(_RETURNED, False):
            return None
        runner: Any = item.config.pluginmanager.get_plugin("runner")  # alone: others' set-up did not run
        call = pytest.CallInfo.from_call(
            lambda: runner.pytest_runtest_teardown(item=item, nextitem=nextitem), "teardown"
        )
        if call.excinfo is not None:
            item.ihook.pytest_runtest_logreport(report=pytest.TestReport.from_item_and_call(item, call))
        return True
