"""The ways to die: what is done to a run whose test holds a powered board.

Each returns the moment of death, in seconds of the monotonic clock.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.kill_matrix.inner_run import Blocked, InnerRun, Way
from tests.kill_matrix.run_processes import guards_of

TIME_LIMIT_S = 2.0
BETWEEN_TWO_S = 0.3  # Ctrl-C, and again: the first one's power-off sequence runs
ALL_WAYS = (Way.PLAIN, Way.XDIST, Way.NOX)
PYTEST_WAYS = (Way.PLAIN, Way.XDIST)

End: TypeAlias = Callable[[InnerRun, Blocked], float]


@dataclass(frozen=True)
class Cause:
    """A way to die.

    Attributes:
        name: As the table has it.
        end: What is done.
        ways: The kinds of runs that it applies to.
        options: What pytest must be told for it.
    """

    name: str
    end: End
    ways: tuple[Way, ...] = ALL_WAYS
    options: tuple[str, ...] = ()


def _time_limit(_run: InnerRun, blocked: Blocked) -> float:
    return blocked.began + TIME_LIMIT_S


def _to_group(number: signal.Signals) -> End:
    def end(run: InnerRun, _blocked: Blocked) -> float:
        died = time.monotonic()
        os.killpg(run.pid, number)
        return died

    return end


def _twice(run: InnerRun, blocked: Blocked) -> float:
    died = _to_group(signal.SIGINT)(run, blocked)
    time.sleep(BETWEEN_TWO_S)
    os.killpg(run.pid, signal.SIGINT)
    return died


def _to_first(number: signal.Signals) -> End:
    def end(run: InnerRun, _blocked: Blocked) -> float:
        died = time.monotonic()
        os.kill(run.pid, number)
        return died

    return end


def _sigterm(run: InnerRun, blocked: Blocked) -> float:
    """Signal all of a job, as systemd and CI do: nox alone would die of it and leave its child."""
    to_whom = _to_group if run.way is Way.NOX else _to_first
    return to_whom(signal.SIGTERM)(run, blocked)


def _worker(_run: InnerRun, blocked: Blocked) -> float:
    died = time.monotonic()
    os.kill(blocked.pid, signal.SIGKILL)
    return died


def _lease_and_ender(run: InnerRun, _blocked: Blocked) -> float:
    """Kill `hil lease` and its child that ends what came of COMMAND; the child is stopped before."""
    (ender,) = map(int, Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split())
    os.kill(ender, signal.SIGSTOP)
    died = time.monotonic()
    for pid in (run.pid, ender):
        os.kill(pid, signal.SIGKILL)
    return died


def _close_terminal(run: InnerRun, _blocked: Blocked) -> float:
    died = time.monotonic()
    run.close_terminal()
    return died


def _order(word: str) -> End:
    def end(run: InnerRun, _blocked: Blocked) -> float:
        died = time.monotonic()
        run.order(word)
        return died

    return end


def _guard(run: InnerRun, _blocked: Blocked) -> float:
    died = time.monotonic()
    for pid in guards_of(run.folder):
        os.kill(pid, signal.SIGKILL)
    run.order("pass")
    return died


def guard_and_holder(run: InnerRun, blocked: Blocked) -> float:
    """Kill both in one instant: the holder is stopped first, so that it cannot start another guard."""
    os.kill(blocked.pid, signal.SIGSTOP)
    died = time.monotonic()
    for pid in guards_of(run.folder):
        os.kill(pid, signal.SIGKILL)
    os.kill(blocked.pid, signal.SIGKILL)
    return died


CAUSES = (
    Cause("time limit, by signal", _time_limit, PYTEST_WAYS, ("--timeout=2", "--timeout-method=signal")),
    Cause("time limit, by thread", _time_limit, PYTEST_WAYS, ("--timeout=2", "--timeout-method=thread")),
    Cause("Ctrl-C", _to_group(signal.SIGINT)),
    Cause("Ctrl-C twice", _twice),
    Cause("SIGINT to the xdist controller alone", _to_first(signal.SIGINT), (Way.XDIST,)),
    Cause("SIGTERM", _sigterm),
    Cause("terminal closed (SIGHUP)", _close_terminal),
    Cause("`os._exit` in a test", _order("exit"), PYTEST_WAYS),
    Cause("segmentation fault in a test", _order("segfault"), PYTEST_WAYS),
    Cause("nothing: a test left a thread that goes on using the board", _order("thread"), PYTEST_WAYS),
    Cause("nothing: an override of `dutlink` is kept, and used at exit", _order("keep"), PYTEST_WAYS),
    Cause("SIGKILL to pytest", _to_first(signal.SIGKILL), (Way.PLAIN,)),
    Cause("SIGKILL to the xdist controller", _to_first(signal.SIGKILL), (Way.XDIST,)),
    Cause("SIGKILL to the worker", _worker, (Way.XDIST,)),
    Cause("SIGKILL to the process group", _to_group(signal.SIGKILL)),
    Cause("SIGKILL to the guard", _guard, PYTEST_WAYS),
    Cause("`os._exit` in a test of a container", _order("exit"), (Way.FIRST, Way.INIT, Way.USER_INIT)),
    Cause("SIGTERM", _to_first(signal.SIGTERM), (Way.LEASE,)),
    Cause("SIGKILL", _to_first(signal.SIGKILL), (Way.LEASE,)),
    Cause("SIGKILL to its COMMAND", _worker, (Way.LEASE,)),
    Cause("SIGKILL", _to_first(signal.SIGKILL), (Way.PROGRAM,)),
    Cause("SIGTERM", _to_first(signal.SIGTERM), (Way.PROGRAM,)),
    Cause("Ctrl-C", _to_first(signal.SIGINT), (Way.PROGRAM,)),
    Cause("SIGKILL, and to the process that ends what came of COMMAND", _lease_and_ender, (Way.LEASE,)),
)
