"""A test's time limit ends whatever hangs until its tear-down is over, also after an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytestmark = pytest.mark.thorough  # runs of the suite
pytest_plugins = "pytester"

HEAD = program(__file__, "time_limit_head")
SITUATIONS = {
    "body failed": "def test_1(hangs): assert False",
    "set-up failed": """
@pytest.fixture
def fails(hangs): assert False
def test_1(fails): pass
""",
    "body was ended": "def test_1(hangs): hang()",
    "tear-down was ended": "def test_1(hangs, hangs_too): pass",
    "several finalizers": """
@pytest.fixture
def several(dutlink, request):
    for _ in range(3):
        request.addfinalizer(hang)
def test_1(several): assert False
""",
    "unittest": """
class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def board(self, dutlink): pass
    def tearDown(self): hang()
    def test_1(self): hang()
""",
    "subtest failed": """
def test_1(hangs, subtests):
    with subtests.test("one"):
        assert False
    hang()
""",
    "test without board failed": """
@pytest.fixture
def no_board():
    yield
    hang()
def test_1(no_board): assert False
""",
}
NEXT = """
{situation}

@pytest.mark.timeout(60)
def test_2(dutlink): dutlink.power.read()
"""
RERUN = """
@pytest.fixture
def waits(dutlink):
    yield
    if os.path.exists("again"):
        hang()
    open("again", "w").close()

def test_1(waits): assert False
"""
XFAIL = """
@pytest.mark.xfail
def test_1(hangs): hang()
"""
BLINKS = program(__file__, "time_limit_blinks")
SLOW = """
@pytest.fixture
def slow(dutlink):
    yield
    time.sleep(3)
    open("ended", "w").close()

def test_1(slow): assert False
"""
LIMIT = "--timeout=1"


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_limit_ends_a_hang_after_an_exception(run_suite: RunSuite, situation: str) -> None:
    inner = run_suite(HEAD + NEXT.format(situation=situation), "--hil-boards=sim:1", LIMIT)

    assert "Timeout (>1.0s)" in inner.text
    assert "INTERNALERROR" not in inner.text
    assert inner.outcomes["test_1"].result in ("failed", "error"), inner.text
    assert inner.outcomes["test_2"].result == "passed", inner.text
    assert inner.status == 1


@pytest.mark.parametrize("more", ["-n2", "--hil-repeat=1", "--reruns=1"])
def test_limit_ends_a_hang_after_an_exception_in_other_runs(run_suite: RunSuite, more: str) -> None:
    source = HEAD + NEXT.format(situation=SITUATIONS["body failed"])

    inner = run_suite(source, "--hil-boards=sim:1", LIMIT, more)

    assert "Timeout (>1.0s)" in inner.text
    assert "INTERNALERROR" not in inner.text
    assert inner.status == 1
    assert inner.outcomes["test_1"].result in ("failed", "error"), inner.text
    assert inner.outcomes["test_2"].result == "passed", inner.text


def test_limit_ends_a_hang_after_an_expected_hang(run_suite: RunSuite) -> None:
    inner = run_suite(HEAD + XFAIL, "--hil-boards=sim:1", LIMIT)

    assert "2 xfailed" in inner.text, "body and tear-down"


def test_limit_ends_fixtures_of_the_board_after_ctrl_c(run_suite: RunSuite) -> None:
    source = HEAD + NEXT.format(situation="def test_1(hangs_late): raise KeyboardInterrupt")

    inner = run_suite(source, "--hil-boards=sim:1", LIMIT)

    assert "tear-down of fixture hangs_late failed after the last test on board " in inner.text
    assert ": Failed: Timeout (>1.0s)" in inner.text
    assert "INTERNALERROR" not in inner.text
    assert inner.status == pytest.ExitCode.INTERRUPTED


def test_limit_of_a_rerun_is_the_whole_limit_and_ends_before_the_delay(run_suite: RunSuite) -> None:
    inner = run_suite(HEAD + RERUN, "--hil-boards=sim:1", LIMIT, "--reruns=1", "--reruns-delay=3")

    assert "INTERNALERROR" not in inner.text
    assert "Timeout (>1.0s)" in inner.text
    assert inner.status == 1


def test_limit_by_thread_ends_the_run_where_a_tear_down_hangs_after_a_failure(run_suite: RunSuite) -> None:
    source = HEAD + NEXT.format(situation=SITUATIONS["body failed"])

    inner = run_suite(source, "--hil-boards=sim:1", LIMIT, "--timeout-method=thread")

    assert "Stack of MainThread" in inner.text
    assert "test_2" not in inner.outcomes
    assert inner.status == 1


def test_limit_ends_fixtures_of_a_board_that_came_back_between_two_tests(
    run_suite: RunSuite, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = simulator.ready["control_port"]
    monkeypatch.setenv("INNER_CONTROL", str(port))

    inner = run_suite(HEAD + BLINKS, f"--hil-boards=sim@{port}", "--hil-wait=5", LIMIT)

    assert "INTERNALERROR" not in inner.text
    assert "Timeout (>1.0s)" in inner.outcomes["test_2"].message, inner.text
    assert inner.results() == {"test_1": "passed", "test_2": "error"}


@pytest.mark.parametrize("more", [("--pdb",), ("-o", "timeout_func_only=true")], ids=["pdb", "body only"])
def test_limit_stays_off_in_tear_downs_where_it_was_asked_to(
    run_suite: RunSuite, pytester: pytest.Pytester, more: tuple[str, ...]
) -> None:
    always = "--timeout-disable-debugger-detection"

    inner = run_suite(HEAD + SLOW, "--hil-boards=sim:1", LIMIT, always, *more)

    assert "Timeout (>" not in inner.text
    assert (pytester.path / "ended").exists(), inner.text


OTHER_BOARD_LEARNS = program(__file__, "time_limit_other_board_learns")


@pytest.mark.parametrize("more", [(), ("-n1",)], ids=["plain", "xdist"])
def test_limit_leaves_out_the_wait_for_the_turn_of_another_board(
    run_suite: RunSuite, more: tuple[str, ...]
) -> None:
    inner = run_suite(HEAD + OTHER_BOARD_LEARNS, "--hil-boards=sim:1", "--timeout=8", *more)

    assert inner.results() == {"test_1": "passed", "test_2": "failed", "test_3": "passed"}, inner.text
    assert "Timeout (>8.0s)" in inner.outcomes["test_2"].message
    assert "another board looks for its stick" in inner.text, "told with the failure"


def test_limit_by_thread_goes_on_after_the_wait_for_the_turn_of_another_board(run_suite: RunSuite) -> None:
    source = HEAD + OTHER_BOARD_LEARNS

    inner = run_suite(source, "--hil-boards=sim:1", "--timeout=8", "--timeout-method=thread", "-v")

    assert "test_1 PASSED" in inner.text
    assert "Stack of MainThread" in inner.text
    assert "test_3 PASSED" not in inner.text


STRUCK = program(__file__, "time_limit_struck")


def test_limit_that_has_fired_leaves_a_whole_interval_for_the_tear_down(run_suite: RunSuite) -> None:
    inner = run_suite(HEAD + STRUCK, "--hil-boards=sim:1", LIMIT, "-rA")

    assert "left: True True" in inner.text
