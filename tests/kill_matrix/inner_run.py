"""A run of the suite in a folder of its own, whose first test holds a powered board and waits for its end."""

from __future__ import annotations

import enum
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import hil
from tests.kill_matrix.run_processes import processes_of

if TYPE_CHECKING:
    from types import TracebackType

REPOSITORY = Path(hil.__file__).parents[1]
INNER = Path(__file__).with_name("inner")
BLOCKED_WITHIN_S = 60.0
OPTIONS = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-ra")
INI = "[pytest]\naddopts = --strict-markers\ntimeout_func_only = true\ntimeout = 120\n"
IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


APART = (shutil.which("unshare") or "unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""A PID namespace, as a container has one: its first process is the command."""


class Way(enum.Enum):
    """How the run is started."""

    PLAIN = "pytest"
    XDIST = "pytest -n 3"
    NOX = "nox"
    FIRST = "pytest as PID 1"
    SHELL = "pytest below a shell as PID 1"
    INIT = "hil init -- pytest as PID 1"
    USER_INIT = "the same in a user namespace"
    LEASE = "hil lease"
    PROGRAM = "a program with hil.open_board"

    def command(self, *options: str) -> list[str]:
        """The command line, to be started in the run's folder."""
        python = [sys.executable, "-m"]
        if self is Way.LEASE:
            return [*python, "hil.cli.main", "lease", "--", sys.executable, "leased.py"]
        if self is Way.PROGRAM:
            return [sys.executable, "opened.py"]
        if self is Way.NOX:
            return [*python, "nox", "-s", "blocked", "--", *OPTIONS, *options]
        parallel = ("-n", "3") if self is Way.XDIST else ()
        run = [*python, "pytest", *OPTIONS, *options, *parallel]
        init = [*python, "hil.cli.main", "init", "--"]
        above = {
            Way.FIRST: [*APART],
            Way.SHELL: [*APART, "sh", "-c", '"$@"; exit', "sh"],
            Way.INIT: [*APART, *init],
            Way.USER_INIT: [*APART, "--user", "--map-root-user", *init],
        }
        return [*above.get(self, []), *run]


def can_be_started(way: Way) -> bool:
    """Return False for a way that needs namespaces where this user cannot make any."""
    needs_namespaces = way in {Way.FIRST, Way.SHELL, Way.INIT, Way.USER_INIT}
    return not needs_namespaces or (os.geteuid() == 0 and shutil.which("unshare") is not None)


@dataclass(frozen=True)
class Blocked:
    """The test that holds the board.

    Attributes:
        pid: Its process.
        began: When its body began, in seconds of the monotonic clock.
    """

    pid: int
    began: float


@dataclass
class InnerRun:
    """The run; a `with` block around it ends what is left of it.

    Attributes:
        folder: Its own, which all its processes name; a folder of locks is in it.
        way: How it is started.
        port: The management port of the simulated boards.
        options: For pytest.
        boards: How many boards each of its tests uses.
    """

    folder: Path
    way: Way
    port: int
    options: tuple[str, ...] = ()
    boards: int = 1
    _pipes: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._lay_out()
        for name in ("told", "order"):
            os.mkfifo(self.folder / name)
            self._pipes[name] = os.open(self.folder / name, os.O_RDWR | os.O_CLOEXEC)
        self._pipes["terminal"], terminal = pty.openpty()
        self._process = self.start(self.way.command(*self.options), terminal)
        os.close(terminal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in processes_of(self.folder):
            os.kill(pid, 9)
        self._process.wait()
        for name in tuple(self._pipes):
            self._close(name)

    @property
    def pid(self) -> int:
        """Of the process that was started: pytest, the xdist controller, or nox. Its group has the same."""
        return self._process.pid

    @property
    def locks(self) -> Path:
        """The folder of its locks."""
        return self.folder / "locks"

    @property
    def output(self) -> str:
        """What it wrote."""
        return (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")

    def start(self, command: list[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a program in the run's folder and environment, in a session of its own.

        Args:
            command: The command line.
            stdin: A terminal becomes that of the session.
        """
        in_terminal = [sys.executable, "-c", IN_TERMINAL] if stdin != subprocess.DEVNULL else []
        with self._open_output() as output:
            return subprocess.Popen(
                [*in_terminal, *command],
                cwd=self.folder,
                env=self._environment(),
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_blocked(self) -> Blocked:
        """Return the test that holds the board, once its DUT has power.

        Raises:
            TimeoutError: There is none; it tells what the run wrote.
        """
        told = self._pipes["told"]
        if not select.select([told], [], [], BLOCKED_WITHIN_S)[0]:
            raise TimeoutError(f"no test holds the board:\n{self.output}")
        return Blocked(**json.loads(os.read(told, 4096)))

    def order(self, word: str) -> None:
        """Tell the test that holds the board how to end: `exit`, `segfault` or `pass`."""
        os.write(self._pipes["order"], f"{word}\n".encode())

    def close_terminal(self) -> None:
        """Close the terminal: the kernel sends SIGHUP to the session's leader and to the foreground group."""
        self._close("terminal")

    def reap(self) -> None:
        """Take the exit status of the process that was started; it has ended."""
        self._process.wait()

    def _lay_out(self) -> None:
        shutil.copy(REPOSITORY / "conftest.py", self.folder)
        shutil.copy(INNER / "blocked.py", self.folder / "test_blocked.py")
        shutil.copy(INNER / "broken_guard.py", self.folder)
        shutil.copy(INNER / "leased.py", self.folder)
        shutil.copy(INNER / "opened.py", self.folder)
        shutil.copy(INNER / "nox_session.py", self.folder / "noxfile.py")
        (self.folder / "pytest.ini").write_text(INI, encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        ours = {
            name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "HIL_", "NOX"))
        }
        theirs: dict[str, Any] = {"HIL_LOCK_DIR": self.locks, "HIL_BOARDS": f"sim@{self.port}"}
        theirs["KILL_BOARDS"] = self.boards
        return ours | {name: str(value) for name, value in theirs.items()} | {"PYTHONPATH": str(REPOSITORY)}

    def _open_output(self) -> IO[bytes]:
        return (self.folder / "output.txt").open("ab")

    def _close(self, name: str) -> None:
        descriptor = self._pipes.pop(name, -1)
        if descriptor >= 0:
            os.close(descriptor)
