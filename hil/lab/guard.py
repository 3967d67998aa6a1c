"""The holder's side of the guard: start it, notice when it is killed and start another, say "released"."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hil.lab.guard_process import RELEASED, TAKEN
from hil.lab.shared_folder import forget_on_fork

if TYPE_CHECKING:
    from hil.lab.guard_work import GuardTask

__all__ = ["Guard"]

SCRIPT = Path(__file__).with_name("guard_process.py")

UNHEARD = frozenset(
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
"""Signals meant for the run, blocked before the guard exists: there is no moment when they reach it."""

KEPT_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR"}
)
"""The rest goes: CI systems find the processes of a job, to kill them, by variables that they inherited."""

LONG_LIFE_S = 5.0
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 5.0
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

    Raises:
        OSError: No process can be started.
    """

    def __init__(self, task: GuardTask, lock_descriptor: int, controller: int = 0) -> None:
        self._arguments = (str(os.getpid()), str(controller), task.to_json())
        self._lock_descriptor = lock_descriptor
        self._turn = threading.Lock()
        self._over = False
        self._ready = threading.Event()
        self._taken = threading.Event()
        self._pid = 0
        self._line, self._process = self._start()
        forget_on_fork(self)
        self._watcher = threading.Thread(target=self._watch, name=f"hil-guard-{task.serial}", daemon=True)
        self._watcher.start()

    def wait_until_ready(self, timeout_s: float = 10.0) -> int | None:
        """Return the guard's pid; None if it does not come up in time.

        Nobody needs to wait: a guard that is still starting finds out about a death all the same.
        """
        return self._pid if self._ready.wait(timeout_s) else None

    def release(self) -> None:
        """Say that the board is safe and given back; the guard ends."""
        with self._turn:
            self._over = True
            try:
                self._line.sendall(RELEASED)
            except OSError:
                return  # it was killed just now: it can do no harm either

    def abandon(self) -> None:
        """Leave the board to the guard, and return once it has taken over: it makes it safe, then unlocks it.

        Raises:
            OSError: The guard was killed, and no other can be started.
        """
        with self._turn:
            self._over = True
            _hang_up(self._line)
        self._watcher.join(TAKE_S)
        for _attempt in range(ATTEMPTS):
            if self._taken.is_set():
                return
            self._line.close()
            self._line, self._process = self._start()
            _hang_up(self._line)
            self._process.wait()
            self._listen_until_it_ends()

    def join(self) -> None:
        """Wait until a released guard has ended, a second at most."""
        self._watcher.join(END_S)
        if not self._watcher.is_alive():
            self._line.close()

    def close(self) -> None:
        """In a forked child: have no part in it."""
        self._over = True
        self._line.close()

    def _start(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, UNHEARD)
        try:
            with theirs:
                descriptors = (self._lock_descriptor, theirs.fileno())
                return ours, _spawn(descriptors, self._arguments)
        except BaseException:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _watch(self) -> None:
        """Keep a guard alive; the lock is ours meanwhile, so it is never free."""
        pause_s = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            self._process.wait()  # only the process that forked the guard: it ends at once
            self._listen_until_it_ends()
            pause_s = FIRST_PAUSE_S if time.monotonic() - began > LONG_LIFE_S else pause_s
            with self._turn:
                if self._over:
                    return
                self._line.close()
                self._restart()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _restart(self) -> None:
        try:
            self._line, self._process = self._start()
        except OSError:  # no process to be had now: the next round tries again
            self._line = socket.socket(socket.AF_UNIX)

    def _listen_until_it_ends(self) -> None:
        line = self._line
        try:
            while said := line.recv(64):
                for message in said.splitlines():
                    self._hear(message)
        except OSError:
            pass
        self._ready.clear()

    def _hear(self, said: bytes) -> None:
        if said == TAKEN.rstrip():
            self._taken.set()
        else:
            self._pid = int(said.split()[1])
            self._ready.set()


def _hang_up(line: socket.socket) -> None:
    """Have the guard see the end of its holder, and still hear what it answers."""
    try:
        line.shutdown(socket.SHUT_WR)
    except OSError:
        return  # it is dead: whoever listens finds out


def _spawn(descriptors: tuple[int, int], arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start the script: no site, no environment, no files but these two, no terminal, no folder in use."""
    interpreter = sys.executable or "python3"
    return subprocess.Popen(
        [interpreter, "-I", "-S", str(SCRIPT), *map(str, descriptors), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT},
        pass_fds=descriptors,
        start_new_session=True,
    )
