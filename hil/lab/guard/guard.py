"""The holder's side of the guard: start it, wait until it runs, replace one that ended, say "released"."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hil.distribution import PACKAGE
from hil.dutlink.standard_streams import keep_standard_streams
from hil.errors import GuardError
from hil.forked_child import forget_on_fork
from hil.lab.guard.process import BROKEN, READY, RELEASED, TAKEN
from hil.lab.locks.stopped_guards import is_stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.lab.guard.task import GuardTask

__all__ = ["Guard"]

SCRIPT = Path(__file__).with_name("process.py")

BLOCKED_SIGNALS = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGALRM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGPIPE,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)
"""Signals meant for the run; blocked before the fork, so that none reaches a guard that starts."""

KEPT_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "PYTHONHOME"}
)
"""The rest goes: CI systems find the processes of a job, to kill them, by variables that they inherited."""

FLAGS = ("-s", "-S", "-P")
"""No packages of user or site, no folder of the script. Not -I: some interpreters need PYTHONHOME."""

LONG_LIFE_S = 5.0
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 5.0
READY_S = 20.0
"""An interpreter takes 0.02 s to start; one that has not after this long, on a busy machine, hangs."""

LOOK_EVERY_S = 1.0
"""How often a guard that runs is looked at. One that is stopped at two looks in a row is replaced."""

END_S = 1.0
TAKE_S = 10.0
ATTEMPTS = 3


class _State(Enum):
    """What a holder has of its guard."""

    STARTING = auto()  # no guard has been ready yet
    GUARDED = auto()  # one was ready; one that ends is replaced
    OVER = auto()  # the board is given back, or left to the guard; one that ends is not replaced
    LOST = auto()  # none can be started


class Guard:
    """A process beside this one that makes the board safe when this one ends without `release`.

    Args:
        task: What it must do then.
        lock_descriptor: The board's lock, held by this process; the guard takes part in it.
        controller: The pid of the process that this one works for (an xdist controller): when that is gone,
            the guard ends this process. 0: none.
        on_loss: Called in a thread of its own when a guard that ran cannot be replaced.

    Raises:
        GuardError: No thread can be started that watches the guard.
    """

    def __init__(
        self,
        task: GuardTask,
        lock_descriptor: int,
        controller: int = 0,
        on_loss: Callable[[GuardError], None] = lambda _error: None,
    ) -> None:
        keep_standard_streams()
        kept = (task.node, task.drivers)
        self._start = partial(_Process, task.to_json(), lock_descriptor, controller, kept)
        self._on_loss = on_loss
        self._serial = task.serial
        self._changed = threading.Condition()
        self._state = _State.STARTING
        self._process = self._start()
        forget_on_fork(self)
        self._watcher = threading.Thread(target=self._watch, name=f"hil-guard-{task.serial}", daemon=True)
        try:
            self._watcher.start()
        except RuntimeError as error:
            self._process.end(kill=True)
            self.close()
            raise self._as_error(f"this process gets no further thread ({error})") from error

    @property
    def _line(self) -> socket.socket:
        return self._process.line

    def wait_until_ready(self, timeout_s: float = ATTEMPTS * (READY_S + 1)) -> int | None:
        """Return the guard's pid, or None if there is none in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._process.pid or self._state is _State.LOST, timeout_s)
            return self._process.pid or None

    def require(self) -> None:
        """Return once the guard runs: before that, no board may be handed out.

        Raises:
            GuardError: It cannot run.
        """
        if self.wait_until_ready() is None:
            raise self._as_error(self._process.problem or "it did not start in time")

    def release(self) -> None:
        """Say that the board is safe and given back; the guard ends."""
        with self._changed, suppress(OSError):  # a guard that died first will not act
            self._state = _State.OVER
            self._line.sendall(RELEASED)

    def abandon(self) -> None:
        """Leave the board to the guard, and return once it has taken over: it makes it safe, then unlocks it.

        Raises:
            GuardError: The guard was killed, and no other can be started.
        """
        with self._changed:
            self._state = _State.OVER
            self._process.hang_up()
        self._watcher.join(TAKE_S)
        if self._process.reached is not _Reached.TAKEN:
            self._process.end(kill=True)  # it is stopped, or hangs: awake again, it must find nothing to do
            self._watcher.join(END_S)
        for _attempt in range(ATTEMPTS):
            if self._process.reached is not _Reached.TAKEN:
                self._line.close()
                self._process = self._start()
                self._process.hang_up()
                self._process.listen()
        if self._process.reached is not _Reached.TAKEN:
            raise self._as_error(self._process.problem)

    def join(self) -> None:
        """Wait until a released guard has ended, a second at most."""
        self._watcher.join(END_S)
        if not self._watcher.is_alive():
            self._line.close()

    def close(self) -> None:
        """Close this process's copies of the line and the pidfd; sends nothing."""
        self._state = _State.OVER
        self._process.close()

    def _watch(self) -> None:
        """Restart the guard when it ends. The lock stays held: this process shares it."""
        pause_s, failures = FIRST_PAUSE_S, 0
        while True:
            process, began = self._process, time.monotonic()
            process.listen(self._note_ready)
            failures = failures + 1 if process.reached is _Reached.STARTED else 0
            pause_s = FIRST_PAUSE_S if time.monotonic() - began > LONG_LIFE_S else pause_s
            if failures >= ATTEMPTS:
                self._give_up(process)
                return
            with self._changed:
                if self._state is _State.OVER:
                    return
                process.line.close()
                self._process = self._start()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _note_ready(self) -> None:
        with self._changed:
            if self._state is _State.STARTING:
                self._state = _State.GUARDED
            self._changed.notify_all()

    def _give_up(self, last: _Process) -> None:
        last.problem = last.problem or _diagnosis()
        with self._changed:
            before = self._state
            self._state = _State.LOST
            self._changed.notify_all()
        if before is _State.GUARDED:
            self._on_loss(self._as_error(last.problem))

    def _as_error(self, why: str) -> GuardError:
        return GuardError(
            f"no guard runs beside this process for board {self._serial}",
            why=f"{why}; without one, a killed process would leave the DUT powered",
            remedy=f"{' '.join(_interpreter())} must be able to run {SCRIPT}",
            serial=self._serial,
        )


class _Reached(Enum):
    """How far a guard process has come."""

    STARTED = auto()
    READY = auto()
    TAKEN = auto()


class _Process:
    """One guard process; one that cannot be started has a line that is at its end.

    Attributes:
        line: To it.
        pid: Its pid while it is ready; else 0.
        reached: How far it has come.
        problem: Why it is no guard; empty: it has not said.
    """

    def __init__(self, task: str, lock: int, controller: int, kept: tuple[int, ...]) -> None:
        self.pid, self.reached, self.problem = 0, _Reached.STARTED, ""
        self._turn = threading.Lock()
        self._victim: subprocess.Popen[bytes] | int | None = None  # its first process; its own pidfd; none
        self.line, theirs = socket.socketpair()
        self.line.settimeout(READY_S)
        watched: list[int] = []
        before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
        try:
            with theirs:
                ends = (_watched(os.getpid()), _watched(controller))
                watched += (descriptor for descriptor in ends if descriptor >= 0)
                self._victim = _spawn(lock, theirs.fileno(), *ends, kept=kept)
            with suppress(OSError):  # it ended already: the thread that listens finds out
                for message in map(os.fsencode, (_python_path(), task)):
                    self.line.sendall(b"%d\n%s" % (len(message), message))
        except OSError as error:
            self.problem = f"{sys.executable or 'python3'} cannot be started: {error.strerror}"
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for descriptor in watched:
                os.close(descriptor)

    def hang_up(self) -> None:
        """Have the guard see the end of its holder, and still hear what it answers."""
        with suppress(OSError):  # the guard is dead: the thread that listens finds out
            self.line.shutdown(socket.SHUT_WR)

    def listen(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Hear what the guard says until its end; kill one that is left then, unless it has taken over."""
        try:
            while said := self._next_words():
                for message in said.splitlines():
                    self._hear(message, on_ready)
        except TimeoutError:
            self.problem = f"it did not start within {READY_S:.0f} s"
        except OSError:
            pass
        self.end(kill=self.reached is not _Reached.TAKEN)

    def _next_words(self) -> bytes:
        """Return what the guard says next; empty if it ended, or was stopped and must be replaced."""
        seen_stopped = False
        while self.pid and not _rings(self.line.fileno(), LOOK_EVERY_S):
            stopped = is_stopped(self.pid)
            if stopped and seen_stopped:
                self.problem = "it was stopped"
                return b""
            seen_stopped = stopped
        return self.line.recv(512)

    def _hear(self, said: bytes, on_ready: Callable[[], None]) -> None:
        word, _, rest = said.partition(b" ")
        if word == TAKEN.rstrip():
            self.reached = _Reached.TAKEN
        elif word == BROKEN:
            self.problem = rest.decode(errors="replace")
        elif word == READY:
            self._come_up(int(rest))
            on_ready()

    def _come_up(self, pid: int) -> None:
        pidfd = _watched(pid)
        if pidfd >= 0 and _is_at_its_end(
            self.line
        ):  # it ended just now, and the pid may be another process's
            os.close(pidfd)
            pidfd = -1
        self.line.settimeout(None)
        with self._turn:
            first, self._victim = self._victim, pidfd
            self.pid, self.reached = pid, _Reached.READY
        if isinstance(first, subprocess.Popen):
            first.wait()  # only the process that forked the guard: it has ended

    def end(self, *, kill: bool) -> None:
        """Forget the guard's pid; kill it first if another one is to take its place."""
        with self._turn:
            victim, self._victim, self.pid = self._victim, None, 0
        if isinstance(victim, subprocess.Popen):  # it never was ready: its pid is not known, its session's is
            with suppress(OSError):
                os.killpg(victim.pid, signal.SIGKILL)
            victim.wait()
        elif victim is not None and victim >= 0:
            if kill:
                with suppress(OSError):
                    signal.pidfd_send_signal(victim, signal.SIGKILL)
                _rings(victim, END_S)
            os.close(victim)

    def close(self) -> None:
        """Close this process's copies of the line and the pidfd."""
        self.line.close()
        victim, self._victim = self._victim, None  # without the lock: a forked child's may be held for good
        if isinstance(victim, int) and victim >= 0:
            os.close(victim)


def _diagnosis() -> str:
    """Return what the interpreter says when it is asked for next to nothing."""
    try:
        ran = subprocess.run(
            [*_interpreter(), "-c", ""],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
            env=_environment(),
            timeout=END_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"its interpreter cannot be run ({error})"
    said = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"its process ended before it was ready ({', '.join(said) or f'status {ran.returncode}'})"


def _python_path() -> str:
    """Return where modules are found now; hil's own place too, which an import hook may have found."""
    path = [str(Path(entry).absolute()) for entry in sys.path]
    return "\0".join([*path, str(PACKAGE.parent)])


def _watched(pid: int) -> int:
    """Return a descriptor that becomes readable when that process has ended; -1 if there is none.

    For a process that has ended already it is readable at once: the end of a pipe that was closed.
    """
    if not pid:
        return -1
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        gone, other = os.pipe()
        os.close(other)
        return gone
    except OSError:  # an old kernel, or a sandbox that forbids it: the line alone must tell
        return -1


def _is_at_its_end(line: socket.socket) -> bool:
    try:
        return _rings(line.fileno(), 0.0) and not line.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _rings(descriptor: int, limit_s: float) -> bool:
    """Wait until a descriptor is readable, or at its end, and return whether it is."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(limit_s * 1000))


def _interpreter() -> list[str]:
    return [sys.executable or "python3", *FLAGS]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT}


def _spawn(*descriptors: int, kept: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Start the script: no site, no environment, no files but these, no terminal, no folder in use.

    Args:
        descriptors: What the script is told of.
        kept: Those that it inherits besides; the task tells which they are.
    """
    return subprocess.Popen(
        [*_interpreter(), str(SCRIPT), *map(str, descriptors), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_environment(),
        pass_fds=[descriptor for descriptor in (*descriptors, *kept) if descriptor >= 0],
        start_new_session=True,
    )
