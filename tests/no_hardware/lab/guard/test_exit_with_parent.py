"""A worker whose controller has ended: it ends at once, or its guard kills it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hil.dutlink.timing import until
from hil.lab.guard import exit_with_parent as module_under_test
from hil.lab.guard.exit_with_parent import GONE_STATUS, exit_with_parent
from tests.support.programs import has_ended, program

HIL = Path(module_under_test.__file__).parents[2]
SOON_S = 60.0

CONTROLLER = """
import subprocess, sys, time
command = [sys.executable, "-c", *sys.argv[1:]]
worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
print(worker.stdout.readline().strip(), flush=True)
time.sleep(60)
"""

WATCHING = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from hil.lab.guard.exit_with_parent import exit_with_parent
exit_with_parent(os.getppid())
print(os.getpid(), flush=True)
for _ in range(600):  # a signal between a look for it and one long sleep would be found at its end
    time.sleep(0.1)
"""

DEAF = program(__file__, "exit_with_parent_deaf")


def orphaned(*worker: str) -> int:
    command = [sys.executable, "-c", CONTROLLER, *worker]
    controller = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert controller.stdout is not None
    pid = int(controller.stdout.readline())
    controller.kill()
    controller.communicate()
    return pid


def test_worker_ends_when_its_controller_is_killed() -> None:
    worker = orphaned(WATCHING, str(HIL))

    assert until(lambda: has_ended(worker), SOON_S)


def test_guard_kills_a_worker_that_hangs_after_its_controller(tmp_path: Path) -> None:
    worker = orphaned(DEAF, str(tmp_path))

    assert until(lambda: has_ended(worker), SOON_S)
    assert until(lambda: (tmp_path / "board").read_text() == "off", SOON_S)


def test_exit_with_parent_ends_if_the_controller_ended_before() -> None:
    stopped = threading.Event()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    exit_with_parent(gone.pid, stopped.set)

    assert stopped.is_set()


def test_exit_with_parent_polls_without_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_under_test, "_open", lambda _pid: -1)
    monkeypatch.setattr(module_under_test, "LOOK_EVERY_S", 0.01)
    parents = iter([4711, 4711, 4711, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    stopped = threading.Event()
    exit_with_parent(4711, stopped.set)

    assert stopped.wait(SOON_S)


def test_exit_with_parent_skips_all_cleaning_up() -> None:
    child = os.fork()
    if child == 0:
        exit_with_parent(0)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == GONE_STATUS
