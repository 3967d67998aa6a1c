"""One guard process, as its holder sees it: start it, hear what it says, kill it."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from hil.distribution import PACKAGE
from hil.lab.guard.process import BROKEN, READY, TAKEN
from hil.lab.locks.stopped_guards import guard_title, is_stopped
from hil.open_descriptors import CheckedDescriptor, room_for_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["READY_S", "SCRIPT", "GuardChild", "GuardStage", "diagnose", "interpreter", "watch_process"]

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
"""Signals that are meant for the run. They are blocked before the fork, so that a guard never gets them."""

KEPT_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "PYTHONHOME"}
)
"""The only variables that a guard inherits, beside the lock folder; CI systems find jobs by others."""

_LOCKS = "HIL_LOCK_DIR"

FLAGS = ("-s", "-S", "-P")
"""No packages of user or site, no folder of the script. Not -I: some interpreters need PYTHONHOME."""

READY_S = 20.0
"""An interpreter starts in 0.02 s; one that takes this long, on a busy machine, hangs."""

LOOK_EVERY_S = 1.0
"""How often a running guard is checked; one that is stopped at two checks in a row is replaced."""

END_S = 1.0

_CLOSED = socket.socket()
_CLOSED.close()


class GuardStage(Enum):
    """How far a guard process has come."""

    STARTED = auto()
    READY = auto()
    TAKEN = auto()
    CUT_OFF = auto()  # other code of the holder closed the socket: the guard takes over by itself


class GuardChild:
    """One guard process. If it cannot be started, for whatever reason, its socket is at its end or closed.

    The socket blocks with a limit of the kernel. `poll`, and so Python's timeouts, fail if a test lowers the
    limit of open files: a healthy guard would then look dead.

    Args:
        task: The guard's task as JSON.
        lock: The descriptor of the lock.
        controller: See `Guard`.
        kept: Further descriptors that the guard inherits; the task says what they are.

    Attributes:
        socket: The socket to the guard.
        pid: The guard's pid while it is ready; else 0.
        stage: How far the guard has come.
        problem: Why this is no working guard; empty if that is not known.
    """

    def __init__(self, task: str, lock: int, controller: int, kept: tuple[int, ...]) -> None:
        self.pid, self.stage, self.problem = 0, GuardStage.STARTED, ""
        self._turn = threading.Lock()
        # What to kill: the process that forks the guard, or the guard's pidfd once it is ready.
        self._victim: subprocess.Popen[bytes] | int | None = None
        self.socket, self._line = _CLOSED, CheckedDescriptor()
        try:
            with room_for_descriptors():
                self._begin(task, lock, controller, kept)
        except Exception as error:  # noqa: BLE001 - any error means that there is no guard
            why = (isinstance(error, OSError) and error.strerror) or repr(error)
            self.problem = f"{sys.executable or 'python3'} cannot be started: {why}"

    def _begin(self, task: str, lock: int, controller: int, kept: tuple[int, ...]) -> None:
        os.fstat(lock)  # other code may have closed it
        messages = [os.fsencode(text) for text in (_python_path(), task)]
        watched: list[int] = []
        before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
        try:
            self.socket, theirs = socket.socketpair()
            with theirs:
                self._line = CheckedDescriptor(self.socket.fileno())
                _set_limit(self.socket, READY_S)
                ends = (watch_process(os.getpid()), watch_process(controller))
                watched += (descriptor for descriptor in ends if descriptor >= 0)
                self._victim = _spawn(lock, theirs.fileno(), *ends, kept=kept)
            with suppress(OSError):  # the guard has ended: `listen` finds out
                for message in messages:
                    self.socket.sendall(b"%d\n%s" % (len(message), message))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for descriptor in watched:
                os.close(descriptor)

    @property
    def is_cut_off(self) -> bool:
        """Whether other code of this process closed the socket, by which the guard knows that it lives."""
        return self.stage is GuardStage.CUT_OFF or self._line.was_closed_by_others

    def disconnect(self) -> None:
        """Close the socket, unless other code did; harmless when repeated."""
        if self.is_cut_off:
            self.socket.detach()
        self._line = CheckedDescriptor()
        self.socket.close()

    def hang_up(self) -> None:
        """Let the guard see the end of its holder, but still receive what it answers."""
        if self.is_cut_off:
            return
        with suppress(OSError):  # the guard is dead: `listen` finds out
            self.socket.shutdown(socket.SHUT_WR)

    def listen(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Receive what the guard says until it ends; then kill it, unless it has taken over the board."""
        try:
            while said := self._receive():
                for message in said.splitlines():
                    self._handle(message, on_ready)
        except BlockingIOError:
            self.problem = f"it did not start within {READY_S:.0f} s"
        except OSError:
            pass
        if self.is_cut_off:
            self._forget()
        else:
            self.end(kill=self.stage is not GuardStage.TAKEN)

    def _forget(self) -> None:
        """Leave a guard alone that takes over; close nothing that may be another file now."""
        with self._turn:
            self._victim, self.pid, self.stage = None, 0, GuardStage.CUT_OFF
        self.socket.detach()

    def _receive(self) -> bytes:
        """Return what the guard says next; empty if it has ended, or was stopped and must be replaced."""
        seen_stopped = False
        while not self.is_cut_off:
            try:
                return self.socket.recv(512)
            except BlockingIOError:
                if not self.pid:
                    raise
            stopped = is_stopped(self.pid)
            if stopped and seen_stopped:
                self.problem = "it was stopped"
                break
            seen_stopped = stopped
        return b""

    def _handle(self, message: bytes, on_ready: Callable[[], None]) -> None:
        word, _, rest = message.partition(b" ")
        if word == TAKEN.rstrip():
            self.stage = GuardStage.TAKEN
        elif word == BROKEN:
            self.problem = rest.decode(errors="replace")
        elif word == READY:
            self._set_ready(int(rest))
            on_ready()

    def _set_ready(self, pid: int) -> None:
        pidfd = watch_process(pid)
        # If the guard has ended, another process may have its pid.
        if pidfd >= 0 and _is_at_its_end(self.socket):
            os.close(pidfd)
            pidfd = -1
        _set_limit(self.socket, LOOK_EVERY_S)
        with self._turn:
            first, self._victim = self._victim, pidfd
            self.pid, self.stage = pid, GuardStage.READY
        if isinstance(first, subprocess.Popen):
            first.wait()  # it has ended: it only forked the guard

    def end(self, *, kill: bool) -> None:
        """Forget the guard's pid; kill the guard first if another one is to take its place."""
        with self._turn:
            victim, self._victim, self.pid = self._victim, None, 0
        if isinstance(victim, subprocess.Popen):  # never ready: only the pid of its session is known
            with suppress(OSError):
                os.killpg(victim.pid, signal.SIGKILL)
            victim.wait()
        elif victim is not None and victim >= 0:
            if kill:
                with suppress(OSError):
                    signal.pidfd_send_signal(victim, signal.SIGKILL)
            with suppress(OSError):
                _is_readable(victim, END_S)
            os.close(victim)

    def close(self) -> None:
        """Close this process's copies of the socket and the pidfd."""
        self.disconnect()
        victim, self._victim = self._victim, None  # without the lock, which a forked child may never get
        if isinstance(victim, int) and victim >= 0:
            os.close(victim)


def diagnose() -> str:
    """Return why guards end before they are ready, by running their interpreter with an empty program."""
    try:
        ran = subprocess.run(
            [*interpreter(), "-c", ""],
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


def interpreter() -> list[str]:
    """Return the command of the interpreter that runs guards."""
    return [sys.executable or "python3", *FLAGS]


def watch_process(pid: int) -> int:
    """Return a descriptor that becomes readable when that process has ended; -1 if there is none.

    For a process that has ended already it is readable at once: it is the end of a closed pipe.
    """
    if not pid:
        return -1
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        gone, other = os.pipe()
        os.close(other)
        return gone
    except OSError:  # an old kernel, or a sandbox that forbids it: only the socket reports the end
        return -1


def _python_path() -> str:
    """Return the folders of modules, and that of hil, which an import hook may have found elsewhere."""
    path = [str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str)]  # as import does
    return "\0".join([*path, str(PACKAGE.parent)])


def _is_at_its_end(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _set_limit(connection: socket.socket, limit_s: float) -> None:
    """Let each send and receive of a socket fail with `BlockingIOError` after this time."""
    limit = struct.pack("@ll", int(limit_s), int(limit_s % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)


def _is_readable(descriptor: int, limit_s: float) -> bool:
    """Wait until a descriptor is readable or at its end, and return True if it is."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(limit_s * 1000))


def _environment() -> dict[str, str]:
    """Return a guard's environment, with the lock folder, where it finds what is known of sticks."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT}
    locks = os.environ.get(_LOCKS)
    return {**kept, _LOCKS: str(Path(locks).absolute())} if locks else kept


def _spawn(*descriptors: int, kept: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Start the script: without site, environment, terminal, current folder, and other open files.

    Args:
        descriptors: The descriptors that are the script's arguments.
        kept: Further descriptors that it inherits.
    """
    return subprocess.Popen(
        [*interpreter(), str(SCRIPT), *map(str, descriptors), guard_title(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_environment(),
        pass_fds=[descriptor for descriptor in (*descriptors, *kept) if descriptor >= 0],
        start_new_session=True,
    )
