"""Runs a suite for real, in a folder of its own, and gathers all that can be held against it."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.laws.left_processes import end_all, settle
from tests.laws.run_results import Results, read_results
from tests.laws.suite_files import INNER, REPOSITORY, write_suite

if TYPE_CHECKING:
    from types import TracebackType

    from tests.laws.run_record import Record
    from tests.laws.suite_plan import Suite
    from tests.laws.watched_boards import WatchedBoards

RUN_LIMIT_S = 90.0
"""A run that takes longer hangs: most are over after two seconds."""

SILENCE_S = 0.6
WAIT_S = 6.0
"""How long a run waits for a board: longer than a guard needs, which waits two seconds for the meter."""
_OPTIONS = (
    *("-p", "laws_desk", "-p", "timeout", "-p", "no:cacheprovider", "-rA", "--junitxml=junit.xml"),
    *(f"--hil-silence={SILENCE_S}", f"--hil-wait={WAIT_S}", "--hil-lab=none"),
)
_KEPT = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "VIRTUAL_ENV")


@dataclass
class Outcome:
    """A run that is over.

    Attributes:
        suite: What was run.
        record: What happened.
        results: What terminal, ledger and JUnit say.
        status: The exit status; None: the run did not end.
        boards: The simulator's word about each board after the run, when guards have done their work.
        records: What the run's own record says about each board: whether it is safe.
        unsettled: Guards that were not ready in time, at boards that can be used.
        tags: Of each board.
        ended_s: When the run was over, in seconds of the monotonic clock.
    """

    suite: Suite
    record: Record
    results: Results
    status: int | None
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    unsettled: list[str] = field(default_factory=list)
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ended_s: float = 0.0


class RunServer:
    """A process that starts runs by forking; a `with` block ends it."""

    def __enter__(self) -> Self:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        python_path = os.pathsep.join([str(REPOSITORY), str(INNER)])
        self._process = subprocess.Popen(
            [sys.executable, str(INNER / "run_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": python_path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(self, folder: Path, arguments: list[str], environment: dict[str, str]) -> int | None:
        """Run pytest in `folder`; return its exit status, or None if it had to be killed."""
        order = {"folder": str(folder), "arguments": arguments, "environment": environment}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        pid = self._hear(RUN_LIMIT_S)["pid"]
        try:
            return self._hear(RUN_LIMIT_S)["status"]
        except TimeoutError:
            with suppress(OSError):
                os.killpg(pid, 9)
            self._hear(RUN_LIMIT_S)
            return None

    def _hear(self, limit_s: float) -> dict[str, int]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit_s)[0]:
            raise TimeoutError
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer


def run_suite(suite: Suite, boards: WatchedBoards, server: RunServer) -> Outcome:
    """Run a suite and wait until the guards of its boards have done their work."""
    folder = Path(tempfile.mkdtemp(prefix="hil-law-"))
    try:
        locks = folder / "locks"
        locks.mkdir(mode=0o700)
        write_suite(suite, folder)
        record = boards.begin(suite.faults, locks)
        environment = {"HIL_LOCK_DIR": str(locks), "LAWS_DESK": boards.desk}
        status = server.run(folder, [*_OPTIONS, *_arguments(suite, boards.port)], environment)
        outcome = Outcome(suite, record, read_results(folder), status, tags=boards.tags)
        outcome.ended_s = time.monotonic()
        outcome.unsettled = settle(folder, record.pids, boards)
        outcome.boards = boards.truths()
        outcome.records = {serial: _state(locks, serial) for serial in boards.serials}
        return outcome
    finally:
        end_all(folder, boards.record.pids)
        boards.end()
        shutil.rmtree(folder, ignore_errors=True)


def _arguments(suite: Suite, port: int) -> list[str]:
    arguments = [f"--hil-boards=sim@{port}", f"--timeout={suite.limit_s}"]
    arguments += ["-p", "asyncio"] if any(test.style == "async" for test in suite.tests) else []
    arguments += ["-p", "xdist", "-n", str(suite.workers)] if suite.workers else []
    arguments += ["-p", "rerunfailures", "--reruns", str(suite.reruns)] if suite.reruns else []
    arguments += ["--hil-repeat", str(suite.repeats)] if suite.repeats else []
    arguments += ["--hil-require"] if suite.require else []
    return arguments


def _state(locks: Path, serial: str) -> str:
    """Return what the record of a board says about it."""
    try:
        return str(json.loads((locks / f"hil-board-{serial}.json").read_text())["state"])
    except (OSError, ValueError, KeyError):
        return ""
