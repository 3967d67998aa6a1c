"""A test with a board whose body never ran has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytestmark = pytest.mark.thorough  # runs of the suite
pytest_plugins = "pytester"

BODIES = program(__file__, "body_entry_bodies")
AWAITED = """
import pytest

@pytest.mark.asyncio
async def test_awaited(power): power.read()
"""
ANSWERS = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(): return True
"""


def test_body_that_never_ran_fails_its_test(run_suite: RunSuite) -> None:
    inner = run_suite(BODIES, "--hil-boards=sim:1")

    ran = {
        "test_runs": "passed",
        "test_is_awaited": "passed",
        "test_skips": "skipped",
        "test_drawn": "passed",
    }
    never = dict.fromkeys(["test_never_awaited", "test_never_iterated", "test_expected"], "failed")
    assert inner.results() == ran | never, inner.text
    assert "the body of this test never ran" in inner.outcomes["test_never_awaited"].message


def test_plugin_that_answers_without_a_call_fails_the_test(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(answers=ANSWERS)
    inner = run_suite("def test_never_called(power): pass", "--hil-boards=sim:1", "-p", "answers")

    assert (inner.results(), inner.status) == ({"test_never_called": "failed"}, Status.TESTS_FAILED), (
        inner.text
    )


def test_body_that_a_plugin_awaits_has_run(run_suite: RunSuite) -> None:
    option = "asyncio_default_fixture_loop_scope=function"
    inner = run_suite(AWAITED, "--hil-boards=sim:1", "-o", option)

    assert inner.results() == {"test_awaited": "passed"}, inner.text
