"""Put the verdict on a test's hardware in the place of its error, unless it has an outcome already."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hil.errors import ReplacedCodeError, Verdict
from hil.suite.markers import Kind, kind_of
from hil.suite.original_code import raise_if_replaced
from hil.suite.outcome.attempts import attempts_of
from hil.suite.outcome.request_counter import errors_of_requests
from hil.suite.outcome.user_properties import describe_judgement, describe_late_loss
from hil.suite.outcome.verdicts import REASONS, as_pytest_outcome, judge, may_be_hardware_error

if TYPE_CHECKING:
    import pytest

    from hil.dutlink.discovery import ProbeResult
    from hil.suite.boards.dependent_fixtures import DependentFixtures
    from hil.suite.boards.lifecycle import BoardLifecycle
    from hil.suite.boards.session import BoardSession
    from hil.suite.outcome.caught_errors import CaughtErrors
    from hil.suite.outcome.time_limit import TimeLimit
    from hil.suite.outcome.verdicts import Judgement

__all__ = ["Judging"]


class Judging:
    """Judges the errors of tests that use a board, in the process that runs them.

    Args:
        boards: This process's board.
        fixtures: The fixtures that depend on the board.
        limit: The timer of the present test, which stops while a board is probed.
        caught: Errors of hil that the present test may have caught.
        required: Hardware that cannot be used is a failure.
    """

    def __init__(
        self,
        boards: BoardLifecycle,
        fixtures: DependentFixtures,
        limit: TimeLimit,
        caught: CaughtErrors,
        *,
        required: bool,
    ) -> None:
        self._boards = boards
        self._fixtures = fixtures
        self._limit = limit
        self._caught = caught
        self._required = required

    def judge_raised(self, item: pytest.Item, call: pytest.CallInfo[Any], error: BaseException) -> None:
        """Replace an error that was proven to come from missing hardware by the outcome that says so.

        Args:
            item: The test.
            call: Its present phase.
            error: The error that the phase raised.
        """
        self._judge(item, call, error, raised=error, kind=kind_of(item))

    def judge_caught(
        self,
        item: pytest.Item,
        call: pytest.CallInfo[Any],
        excuse: BaseException,
        chain: list[BaseException],
    ) -> None:
        """Replace a skip or an expected failure by the outcome of the hardware error that the test caught.

        Args:
            item: The test.
            call: Its present phase.
            excuse: The skip or the expected failure that the phase raised.
            chain: The errors in the chain of the skip.
        """
        if attempts_of(item).is_judged or may_be_hardware_error(excuse):
            return  # `judge_raised` has judged it, and it stands: the test caught nothing
        cause = self._caught.cause_of(chain, errors_of_requests(item))
        if cause is not None:
            held = self._boards.session.held
            loses = held is not None and not held.is_fallback  # a mixed test, too, can lose its board
            self._judge(item, call, cause, raised=excuse, kind=Kind.HARDWARE if loses else kind_of(item))

    def _judge(
        self,
        item: pytest.Item,
        call: pytest.CallInfo[Any],
        error: BaseException,
        *,
        raised: BaseException,
        kind: Kind,
    ) -> None:
        with self._limit.stopped_then_reset():
            session = self._boards.session
            probe = partial(_probe, session, error)
            judgement = judge(
                error, kind=kind, phase=call.when, why_no_board=session.why_no_board, probe=probe
            )
        if judgement is None:
            return
        if judgement.verdict is Verdict.LOST:
            self._boards.report_lost()
        required = self._required or kind_of(item) is Kind.MIXED
        if not self._has_outcome(item, call.when, raised, required=required):
            _give_outcome(item, call, judgement, required=required)
        elif call.when == "teardown":
            describe_late_loss(item, judgement)
            call.excinfo = None  # a loss is no second outcome

    def _has_outcome(self, item: pytest.Item, phase: str, error: BaseException, *, required: bool) -> bool:
        """Return True if a test has an outcome that a loss of its board does not change."""
        attempts = attempts_of(item)
        if attempts.present_has_failed:
            return True
        if phase != "teardown":
            return False
        if required:
            return bool(attempts.not_excused_in)
        return not (attempts.has_passed and self._fixtures.is_own(error))


def _probe(session: BoardSession, error: BaseException) -> ProbeResult:
    """Probe the boards by the original code.

    Args:
        session: The boards.
        error: The error that the probe may excuse.

    Raises:
        ReplacedCodeError: A test replaced code of the probe. The error gets that as a note.
    """
    try:
        raise_if_replaced()
    except ReplacedCodeError as refused:
        error.add_note(f"This is no skip: {refused}")
        raise
    return session.probe()


def _give_outcome(
    item: pytest.Item, call: pytest.CallInfo[Any], judgement: Judgement, *, required: bool
) -> None:
    """Make a judgement the outcome of a phase, and note it in the test's properties."""
    describe_judgement(item, judgement, REASONS[judgement.verdict])
    attempts = attempts_of(item)
    attempts.is_judged = True
    if required:
        attempts.not_excused_in = call.when
    call.excinfo = as_pytest_outcome(judgement.reason, required=required)
