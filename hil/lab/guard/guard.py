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
from pathlib import Path
from typing import TYPE_CHECKING

import hil
from hil.dutlink.standard_streams import keep_standard_streams
from hil.errors import GuardError
from hil.forked_child import forget_on_fork
from hil.lab.guard.process import BROKEN, READY, RELEASED, TAKEN
from hil.lab.guard.stopped_guards import is_stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.lab.guard.recovery import GuardTask

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
        self._messages = (_python_path(), task.to_json())
        self._lock_descriptor = lock_descriptor
        self._kept = (task.node, task.drivers)
        self._controller = controller
        self._on_loss = on_loss
        self._serial = task.serial
        self._turn = threading.Lock()
        self._over = False
        self._news = threading.Condition()
        self._was_up = False
        self._error: GuardError | None = None
        self._problem = ""
        self._taken = threading.Event()
        self._pid, self._pidfd = 0, -1
        self._line, self._process = self._try_to_start()
        forget_on_fork(self)
        self._watcher = threading.Thread(target=self._watch, name=f"hil-guard-{task.serial}", daemon=True)
        try:
            self._watcher.start()
        except RuntimeError as error:
            self.close()
            self._end_guard()
            raise self._as_error(f"this process gets no further thread ({error})") from error

    @property
    def error(self) -> GuardError | None:
        """Why there is no guard; None while one runs, or is being replaced."""
        return self._error

    def wait_until_ready(self, timeout_s: float = ATTEMPTS * (READY_S + 1)) -> int | None:
        """Return the guard's pid, or None if there is none in time."""
        with self._news:
            self._news.wait_for(lambda: self._pid or self._error, timeout_s)
            return self._pid or None

    def require(self) -> None:
        """Return once the guard runs: before that, no board may be handed out.

        Raises:
            GuardError: It cannot run.
        """
        if self.wait_until_ready() is None:
            raise self._error or self._as_error("it did not start in time")

    def release(self) -> None:
        """Say that the board is safe and given back; the guard ends."""
        with self._turn:
            self._over = True
            try:
                self._line.sendall(RELEASED)
            except OSError:
                return  # the guard died first, so it will not act

    def abandon(self) -> None:
        """Leave the board to the guard, and return once it has taken over: it makes it safe, then unlocks it.

        Raises:
            GuardError: The guard was killed, and no other can be started.
        """
        with self._turn:
            self._over = True
            _hang_up(self._line)
        self._watcher.join(TAKE_S)
        if not self._taken.is_set():
            self._end_guard()  # it is stopped, or hangs: awake again, it must find nothing to do
            self._watcher.join(END_S)
        for _attempt in range(ATTEMPTS):
            if self._taken.is_set():
                return
            self._line.close()
            self._line, self._process = self._try_to_start()
            _hang_up(self._line)
            self._listen_until_it_ends()
        if not self._taken.is_set():
            raise self._as_error(self._problem)

    def join(self) -> None:
        """Wait until a released guard has ended, a second at most."""
        self._watcher.join(END_S)
        if not self._watcher.is_alive():
            self._line.close()
            self._forget_pid()

    def close(self) -> None:
        """Close this process's copies of the line and the pidfd; sends nothing."""
        self._over = True
        self._line.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)  # without the lock: a thread that is not here any more may have it
            self._pidfd = -1

    def _try_to_start(self) -> tuple[socket.socket, subprocess.Popen[bytes] | None]:
        """Start a guard; where none can be started, return a line that is at its end."""
        try:
            return self._start()
        except OSError as error:
            self._problem = f"{sys.executable or 'python3'} cannot be started: {error.strerror}"
            ours, theirs = socket.socketpair()
            theirs.close()
            return ours, None

    def _start(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair()
        watched: list[int] = []
        before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
        try:
            with theirs:
                watched += (_watched(os.getpid()), _watched(self._controller))
                process = _spawn(self._lock_descriptor, theirs.fileno(), *watched, kept=self._kept)
            self._problem = ""
            with suppress(OSError):  # it ended already: the thread that listens finds out
                ours.settimeout(READY_S)
                for message in map(os.fsencode, self._messages):
                    ours.sendall(b"%d\n%s" % (len(message), message))
        except BaseException:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for descriptor in filter(_is_open, watched):
                os.close(descriptor)
        return ours, process

    def _watch(self) -> None:
        """Restart the guard when it ends. The lock stays held: this process shares it."""
        pause_s, failures = FIRST_PAUSE_S, 0
        while True:
            began = time.monotonic()
            failures = 0 if self._listen_until_it_ends() else failures + 1
            pause_s = FIRST_PAUSE_S if time.monotonic() - began > LONG_LIFE_S else pause_s
            if failures >= ATTEMPTS:
                self._give_up()
                return
            with self._turn:
                if self._over:
                    return
                self._line.close()
                self._line, self._process = self._try_to_start()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _give_up(self) -> None:
        error = self._as_error(self._problem or self._diagnosis())
        with self._news:
            self._error = error
            self._news.notify_all()
        if self._was_up and not self._over:
            self._on_loss(error)

    def _listen_until_it_ends(self) -> bool:
        """Hear what the guard says until its end, and return whether it was ready."""
        line, was_ready = self._line, False
        try:
            while said := self._next_words(line):
                for message in said.splitlines():
                    was_ready |= self._hear(message, line)
        except TimeoutError:
            self._problem = f"it did not start within {READY_S:.0f} s"
        except OSError:
            pass
        if not self._taken.is_set():
            self._end_guard()
        return was_ready

    def _next_words(self, line: socket.socket) -> bytes:
        """Return what the guard says next; empty if it ended, or was stopped and must be replaced."""
        seen_stopped = False
        while self._pid and not _rings(line.fileno(), LOOK_EVERY_S):
            stopped = is_stopped(self._pid)
            if stopped and seen_stopped:
                self._problem = "it was stopped"
                return b""
            seen_stopped = stopped
        return line.recv(512)

    def _hear(self, said: bytes, line: socket.socket) -> bool:
        """Take in one message, and return whether it says that the guard is ready."""
        word, _, rest = said.partition(b" ")
        if word == TAKEN.rstrip():
            self._taken.set()
        elif word == BROKEN:
            self._problem = rest.decode(errors="replace")
        elif word == READY:
            self._came_up(int(rest), line)
            return True
        return False

    def _came_up(self, pid: int, line: socket.socket) -> None:
        pidfd = _watched(pid)
        if pidfd >= 0 and _is_at_its_end(line):  # it ended just now, and the pid may be another process's
            os.close(pidfd)
            pidfd = -1
        line.settimeout(None)
        with self._news:
            process, self._process = self._process, None
            self._pid, self._pidfd, self._was_up = pid, pidfd, True
            self._news.notify_all()
        if process is not None:
            process.wait()  # only the process that forked the guard: it has ended

    def _end_guard(self) -> None:
        """Kill a guard that is left before another one may take its place, and forget its pid."""
        with self._news:
            process, self._process = self._process, None
        if process is not None:  # it never was ready: its pid is not known, but that of its session is
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._forget_pid(kill=True)

    def _forget_pid(self, *, kill: bool = False) -> None:
        with self._news:
            pidfd, self._pid, self._pidfd = self._pidfd, 0, -1
        if pidfd < 0:
            return
        if kill:
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _rings(pidfd, END_S)
        os.close(pidfd)

    def _as_error(self, why: str) -> GuardError:
        return GuardError(
            f"no guard runs beside this process for board {self._serial}",
            why=f"{why}; without one, a killed process would leave the DUT powered",
            remedy=f"{' '.join(_interpreter())} must be able to run {SCRIPT}",
            serial=self._serial,
        )

    def _diagnosis(self) -> str:
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
    return "\0".join([*path, str(Path(hil.__file__).parents[1])])


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


def _is_open(descriptor: int) -> bool:
    return descriptor >= 0


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


def _hang_up(line: socket.socket) -> None:
    """Have the guard see the end of its holder, and still hear what it answers."""
    try:
        line.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the guard is dead: the thread that listens finds out


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
