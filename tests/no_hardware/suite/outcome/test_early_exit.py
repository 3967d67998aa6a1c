"""A run that ends before all its tests began is not green, whatever exit status a test asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"
pytestmark = pytest.mark.thorough  # processes

SUITE = """
import os, pytest

def test_1(): pass
def test_2(): {ends}
def test_3(): pass
"""


@pytest.mark.parametrize("how", [(), ("--hil-require",)], ids=str)
def test_pytest_exit_with_status_0_is_not_green_while_tests_never_began(
    how: tuple[str, ...], run_suite: RunSuite
) -> None:
    inner = run_suite(SUITE.format(ends="pytest.exit('enough', returncode=0)"), "--hil-boards=none", *how)

    assert inner.status != Status.GREEN, inner.text
    assert "NOT ALL TESTS BEGAN: 1 of 3 never began" in inner.text


EXITS = "import pytest\ndef {hook}():\n    pytest.exit('no board', returncode={status})\n"


@pytest.mark.parametrize("how", [("-n0",), ("-n2", "--hil-require")], ids=str)
@pytest.mark.parametrize("hook", ["pytest_configure", "pytest_sessionstart"])
def test_pytest_exit_with_status_0_before_the_session_is_red(
    hook: str, how: tuple[str, ...], run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(exits=EXITS.format(hook=hook, status=0))

    inner = run_suite(SUITE.format(ends="pass"), "-p", "exits", "--hil-boards=none", *how)

    assert inner.status == Status.INTERRUPTED, inner.text
    assert "NO TEST BEGAN: pytest.exit with status 0 ended this run" in inner.text


def test_pytest_exit_with_status_0_in_a_conftest_configured_before_hil_is_red(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.mkdir("below").joinpath("conftest.py").write_text(
        EXITS.format(hook="pytest_configure", status=0), "utf-8"
    )

    inner = run_suite(SUITE.format(ends="pass"), "--hil-boards=none", "below")

    assert inner.status == Status.INTERRUPTED, inner.text
    assert inner.text.count("NO TEST BEGAN") == 1


def test_pytest_exit_with_status_0_in_collection_is_red(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(exits=EXITS.format(hook="pytest_collection", status=0))

    inner = run_suite(SUITE.format(ends="pass"), "-p", "exits", "--hil-boards=none")

    assert inner.status == Status.INTERRUPTED, inner.text
    assert "NO TEST BEGAN" in inner.text


def test_pytest_exit_with_another_status_before_the_session_keeps_it(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(exits=EXITS.format(hook="pytest_sessionstart", status=9))

    inner = run_suite(SUITE.format(ends="pass"), "-p", "exits", "--hil-boards=none")

    assert (inner.status, "NO TEST BEGAN" in inner.text) == (9, False), inner.text


def test_pytest_exit_with_status_0_is_green_in_the_last_test(run_suite: RunSuite) -> None:
    source = SUITE.format(ends="pass").replace("test_3(): pass", "test_3(): pytest.exit('x', returncode=0)")

    inner = run_suite(source, "--hil-boards=none")

    assert inner.status == Status.GREEN, inner.text


@pytest.mark.parametrize("where", ["body", "set-up"])
def test_test_that_ctrl_c_ends_is_interrupted_in_the_ledger(where: str, run_suite: RunSuite) -> None:
    source = program(__file__, "early_exit_interrupts")

    inner = run_suite(source.replace("WHERE", repr(where)), "--hil-boards=sim:1")

    assert inner.status == Status.INTERRUPTED, inner.text
    assert "2 planned, 0 ran, 0 failed, 0 skipped, 1 interrupted, 1 never began" in inner.text


def test_test_that_is_asked_for_twice_begins_once(run_suite: RunSuite) -> None:
    twice = ("test_inner.py", "test_inner.py", "--keep-duplicates")

    inner = run_suite(SUITE.format(ends="pass"), "--hil-boards=none", *twice)

    assert inner.status == Status.GREEN, inner.text


def test_os_exit_with_status_0_is_told_and_not_green(run_suite: RunSuite) -> None:
    inner = run_suite(SUITE.format(ends="os._exit(0)"), "--hil-boards=none")

    assert inner.status == Status.INTERRUPTED, inner.text
    assert "hil: os._exit(0) ended this run in test_inner.py::test_2" in inner.text


def test_os_exit_that_was_imported_before_the_plugin_is_told_too(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    conftest = pytester.path / "conftest.py"
    before = "\nfrom os import _exit as leave\nimport pytest\n"
    conftest.write_text(conftest.read_text().replace("\nimport pytest\n", before, 1))

    inner = run_suite(SUITE.format(ends="__import__('conftest').leave(0)"), "--hil-boards=none")

    assert inner.status == Status.INTERRUPTED, inner.text
    assert "hil: os._exit(0) ended this run in test_inner.py::test_2" in inner.text


def test_posix_exit_with_status_0_is_told_and_not_green(run_suite: RunSuite) -> None:
    inner = run_suite(SUITE.format(ends="__import__('posix')._exit(0)"), "--hil-boards=none")

    assert inner.status == Status.INTERRUPTED, inner.text


def test_os_exit_can_be_the_target_of_a_spawned_process(run_suite: RunSuite) -> None:
    source = """
import multiprocessing, os

def test_1():
    child = multiprocessing.get_context("spawn").Process(target=os._exit, args=(7,))
    child.start()
    child.join()

    assert child.exitcode == 7
"""

    inner = run_suite(source, "--hil-boards=none")

    assert inner.status == Status.GREEN, inner.text


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
@pytest.mark.parametrize("call", ["os.execv('/bin/true', ['true'])", "os.execlp('true', 'true')"])
def test_os_exec_in_the_process_of_a_run_fails_its_test(call: str, workers: str, run_suite: RunSuite) -> None:
    inner = run_suite(SUITE.format(ends=call), "--hil-boards=none", workers)

    assert inner.results() == {"test_1": "passed", "test_2": "failed", "test_3": "passed"}, inner.text
    assert "in the place of this run in test_inner.py::test_2" in inner.text


@pytest.mark.parametrize(
    "call", ["_exit(0)", "exit(0)", "execl(b'/bin/true', b'true', None)", "__getitem__('_Exit')(0)"]
)
def test_c_function_that_ends_the_process_of_a_run_is_not_found_by_ctypes(
    call: str, run_suite: RunSuite
) -> None:
    ends = f"import ctypes; ctypes.CDLL(None).{call}"

    inner = run_suite(SUITE.format(ends=ends), "--hil-boards=none")

    assert inner.results() == {"test_1": "passed", "test_2": "failed", "test_3": "passed"}, inner.text
    assert "in the process of this run in test_inner.py::test_2" in inner.text


def test_c_function_may_end_a_forked_child(run_suite: RunSuite) -> None:
    ends = "import ctypes; assert os.waitpid(os.fork() or ctypes.CDLL(None)._exit(0), 0)[1] == 0"

    inner = run_suite(SUITE.format(ends=ends), "--hil-boards=none", "-W", "ignore::DeprecationWarning")

    assert inner.status == Status.GREEN, inner.text


def test_os_exec_is_allowed_in_a_child(run_suite: RunSuite) -> None:
    ends = "assert os.waitpid(os.fork() or os.execv('/bin/true', ['true']), 0)[1] == 0"

    inner = run_suite(SUITE.format(ends=ends), "--hil-boards=none", "-W", "ignore::DeprecationWarning")

    assert inner.status == Status.GREEN, inner.text


def test_os_exit_is_allowed_in_a_child(run_suite: RunSuite) -> None:
    ends = "assert os.waitpid(os.fork() or os._exit(0), 0)[1] == 0"

    inner = run_suite(SUITE.format(ends=ends), "--hil-boards=none", "-W", "ignore::DeprecationWarning")

    assert (inner.status, "ended this run" in inner.text) == (Status.GREEN, False), inner.text


ENDS_WORKERS = """
import os

def pytest_sessionfinish():
    if "PYTEST_XDIST_WORKER" in os.environ:
        os._exit(0)
"""


def test_worker_that_ends_after_its_last_test_leaves_no_green_run(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(ends_workers=ENDS_WORKERS)

    inner = run_suite(SUITE.format(ends="pass"), "-p", "ends_workers", "--hil-boards=none", "-n1")

    assert inner.status == Status.INTERRUPTED, inner.text
    assert "WORKER gw0 DIED: the state of its board is unknown" in inner.text


@pytest.mark.parametrize("where", ["body", "tear-down"])
def test_os_exit_in_a_worker_fails_its_test_in_the_ledger_too(run_suite: RunSuite, where: str) -> None:
    source = program(__file__, "early_exit_os_exit")

    inner = run_suite(source.replace("WHERE", repr(where)), "--hil-boards=sim:1", "-n1")

    assert inner.status == Status.TESTS_FAILED, inner.text
    assert "hardware: 2 planned" in inner.text
    assert "1 failed, 0 skipped" in inner.text


LATE = """
import atexit, os, threading

def then(end):
    threading.main_thread().join()
    end()

def test_1():
    end = lambda: {ends}
    {when}
    assert {passes}
"""


@pytest.mark.parametrize(
    "ends",
    ["os._exit(0)", "os._exit(256)", "__import__('posix')._exit(0)", "os.execlp('true', 'true')"],
)
@pytest.mark.parametrize(
    "when", ["atexit.register(end)", "threading.Thread(target=then, args=(end,)).start()"]
)
def test_failed_run_stays_failed_whatever_ends_its_process_after_pytest(
    ends: str, when: str, run_suite: RunSuite
) -> None:
    inner = run_suite(LATE.format(ends=ends, when=when, passes=False), "--hil-boards=none")

    assert inner.status == Status.TESTS_FAILED, inner.text
    assert ("its exit status stays 1" in inner.text) == ("_exit" in ends), inner.text


@pytest.mark.parametrize("ends", ["os._exit(0)", "os.execlp('true', 'true')"])
def test_green_run_may_end_its_process_after_pytest_as_it_wants(ends: str, run_suite: RunSuite) -> None:
    source = LATE.format(ends=ends, when="atexit.register(end)", passes=True)

    inner = run_suite(source, "--hil-boards=none")

    assert (inner.status, "hil: os._exit" in inner.text) == (Status.GREEN, False), inner.text


ENDS = {
    "wrapper": """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    result = yield
    session.exitstatus = 0
    return result
""",
    "pytest.exit": """
def pytest_sessionfinish():
    pytest.exit("enough", returncode=0)
""",
    "SystemExit": """
def pytest_sessionfinish():
    raise SystemExit(0)
""",
    "SystemExit at the end": """
def pytest_unconfigure():
    raise SystemExit(0)
""",
}


@pytest.mark.parametrize("how", ENDS)
def test_exit_status_that_a_conftest_makes_0_is_told(
    how: str, run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(changes_status=f"import pytest\n{ENDS[how]}")

    inner = run_suite(SUITE.format(ends="assert False"), "-p", "changes_status", "--hil-boards=none")

    assert inner.status == Status.GREEN, inner.text
    assert "EXIT STATUS CHANGED: from 1 to 0" in inner.text


def test_exit_status_that_a_conftest_sets_in_a_plain_hook_is_not_taken(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(changes_status="def pytest_sessionfinish(session):\n    session.exitstatus = 0\n")

    inner = run_suite(SUITE.format(ends="assert False"), "-p", "changes_status", "--hil-boards=none")

    assert (inner.status, "CHANGED" in inner.text) == (Status.TESTS_FAILED, False), inner.text


WRAPS_TO_0 = {
    "set": "def pytest_sessionfinish(session):\n    session.exitstatus = {status}\n",
    "set outside": """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    result = yield
    session.exitstatus = {status}
    return result
""",
    "pytest.exit": "def pytest_sessionfinish():\n    pytest.exit('enough', returncode={status})\n",
    "SystemExit": "def pytest_sessionfinish():\n    raise SystemExit({status})\n",
    "SystemExit at the end": "def pytest_unconfigure():\n    raise SystemExit({status})\n",
}


@pytest.mark.parametrize("how", WRAPS_TO_0)
@pytest.mark.parametrize("status", [256, -512])
def test_exit_status_of_which_a_parent_sees_0_leaves_a_failed_run_red(
    status: int, how: str, run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(changes_status=f"import pytest\n{WRAPS_TO_0[how].format(status=status)}")

    inner = run_suite(SUITE.format(ends="assert False"), "-p", "changes_status", "--hil-boards=none")

    assert inner.status == Status.TESTS_FAILED, inner.text


@pytest.mark.parametrize(("asked", "status"), [(256, Status.INTERRUPTED), (9, 9)])
def test_pytest_exit_in_a_test_tells_what_never_began_whatever_its_status(
    asked: int, status: int, run_suite: RunSuite
) -> None:
    source = SUITE.format(ends=f"pytest.exit('enough', returncode={asked})") + "def test_4(power): pass"

    inner = run_suite(source, "--hil-boards=none")

    assert inner.status == status, inner.text
    assert inner.text.count("NOT ALL TESTS BEGAN: 2 of 4 never began") == 1
    assert inner.text.count("hardware: 1 planned, 0 ran, 0 failed, 0 skipped, 1 never began") == 1


KILLS = """
import os, pytest, signal

def test_kills(power):
    os.kill(os.getpid(), signal.SIGKILL)
@pytest.mark.parametrize("n", range(3))
def test_reads(n, power): power.read()
def test_plain(): pass
"""


@pytest.mark.parametrize("options", [(), ("--reruns=3",)], ids=["once", "rerun"])
def test_tests_that_xdist_gave_up_with_its_last_worker_are_counted(
    options: tuple[str, ...], run_suite: RunSuite
) -> None:
    inner = run_suite(KILLS, "--hil-boards=sim:1", "-n1", "--max-worker-restart=0", *options)

    assert inner.status == Status.TESTS_FAILED, inner.text
    assert "NOT ALL TESTS BEGAN: 4 of 5 never began" in inner.text
    assert "hardware: 4 planned, 0 ran, 1 failed, 0 skipped, 3 never began" in inner.text
    assert inner.suite_properties["hil_hardware_planned"] == "4"


def test_worker_that_crashes_in_a_set_up_fails_its_test_in_the_ledger_too(run_suite: RunSuite) -> None:
    source = KILLS.replace("def test_kills(power):", "@pytest.fixture\ndef dies(power):")
    source += "def test_dies(dies): pass\n"

    inner = run_suite(source, "--hil-boards=sim:1", "-n1", "--max-worker-restart=0")

    assert "hardware: 4 planned, 3 ran, 1 failed, 0 skipped, 1 of the failed tested nothing\n" in inner.text


def test_hardware_test_that_pytest_exit_ends_with_status_0_is_not_green(run_suite: RunSuite) -> None:
    source = """
import pytest

def test_1(power): power.read()
def test_2(power):
    power.read()
    pytest.exit("no board", returncode=0)
"""

    inner = run_suite(source, "--hil-boards=sim:1", "--hil-require")

    assert inner.status == Status.INTERRUPTED, inner.text
    assert "NOT ALL TESTS ENDED: 1 with a board began and has no outcome" in inner.text


CUTS_OFF = """
import pytest

class Plugin:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self): exit(0); yield

def test_1(request):
    request.config.pluginmanager.register(Plugin())
    {ends}
"""


@pytest.mark.parametrize(
    ("ends", "status"), [("assert 0", Status.TESTS_FAILED), ("pass", Status.INTERRUPTED)]
)
def test_run_whose_end_a_plugin_cuts_off_is_red(ends: str, status: Status, run_suite: RunSuite) -> None:
    inner = run_suite(CUTS_OFF.format(ends=ends), "--hil-boards=none")

    assert inner.status == status
    assert f"cut off the end of this run; exit status {status}" in inner.text
