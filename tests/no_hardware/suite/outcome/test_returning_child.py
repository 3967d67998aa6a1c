"""A forked child that comes back out of its test does not go on with the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"
pytestmark = pytest.mark.thorough  # processes

SUITE = program(__file__, "returning_child_suite")
WHERE = ("in_set_up", "in_body", "in_tear_down")


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
@pytest.mark.parametrize("where", WHERE)
def test_child_that_returns_fails_its_test_and_no_other(
    run_suite: RunSuite, where: str, workers: str
) -> None:
    source = SUITE.format(**{one: one == where for one in WHERE}, then="return")
    quiet = ("-W", "ignore::DeprecationWarning")

    inner = run_suite(source, "--hil-boards=sim:1", workers, *quiet)

    bad = "error" if where == "in_tear_down" else "failed"
    assert inner.results() == {"test_1": bad, "test_2": "passed"}, inner.text
    assert inner.text.count("came back into pytest; it ends here") == 1, inner.text
    assert inner.text.count("hardware: 2 planned, 2 ran, 1 failed") == 1, inner.text
    assert "INTERNALERROR" not in inner.text
    assert inner.status == Status.TESTS_FAILED


def test_child_that_raises_tells_its_error_in_its_test(run_suite: RunSuite) -> None:
    source = SUITE.format(
        in_set_up=False, in_body=True, in_tear_down=False, then="assert 1 == 2, 'only there'"
    )

    inner = run_suite(source, "--hil-boards=sim:1", "-W", "ignore::DeprecationWarning")

    assert "with AssertionError: only there" in inner.outcomes["test_1"].message, inner.text


def test_child_that_returns_leaves_a_test_that_failed_itself_one_outcome(run_suite: RunSuite) -> None:
    source = SUITE.format(in_set_up=False, in_body=True, in_tear_down=False, then="return")
    source = source.replace("\ndef test_2", "    assert False, 'its own'\n\ndef test_2")

    inner = run_suite(source, "--hil-boards=sim:1", "-W", "ignore::DeprecationWarning")

    assert "1 failed, 1 passed in " in inner.text, inner.text


def test_child_that_raises_less_than_the_one_before_is_told_alone(run_suite: RunSuite) -> None:
    source = SUITE.format(
        in_set_up=False, in_body=True, in_tear_down=False, then="raise ValueError('very long indeed')"
    )
    again = "    if fork_and_wait():\n        raise OSError('brief')\n\ndef test_2"
    source = source.replace("\ndef test_2", again)

    inner = run_suite(source, "--hil-boards=sim:1", "-W", "ignore::DeprecationWarning")

    assert "with OSError: brief; it was ended" in inner.outcomes["test_1"].message, inner.text


BOXING = program(__file__, "returning_child_boxing")


def test_each_test_of_pytest_forked_runs_in_a_child(run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(pytest_forked=BOXING)
    source = "def test_board(power): pass\ndef test_alone(): pass"

    inner = run_suite(source, "--hil-boards=sim:1", "-ppytest_forked", "-W", "ignore::DeprecationWarning")

    assert inner.results()["test_alone"] == "passed", inner.text
