"""The holder's side of the guard: start it, wait until it runs, replace one that ended, say "released"."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

from hil.dutlink.timing import Backoff
from hil.errors import GuardError
from hil.forked_child import forget_on_fork
from hil.lab.guard.child import READY_S, SCRIPT, GuardChild, GuardStage, diagnose, interpreter
from hil.lab.guard.process import RELEASED
from hil.open_descriptors import keep_standard_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.lab.guard.task import GuardTask

__all__ = ["Guard"]

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 5.0
"""Between the starts of two guards."""

LONG_LIFE_S = 5.0
"""If a guard has lived this long, the pause before the next is the first again."""

END_S = 1.0
TAKE_S = 10.0
ATTEMPTS = 3


class _State(Enum):
    """The state of the guard, for its holder."""

    STARTING = auto()  # no guard has been ready yet
    GUARDED = auto()  # a guard was ready; if it ends, it is replaced
    OVER = auto()  # the board is released, or left to the guard; if the guard ends, it is not replaced
    LOST = auto()  # no guard can be started; or this process cannot watch it


class Guard:
    """A process beside this one that makes the board safe if this one ends without `release`.

    Args:
        task: What the guard has to do then.
        lock: Returns the descriptor of the board's lock, held by this process; the guard shares it.
        controller: The pid of the process that this one works for (an xdist controller): when it has ended,
            the guard ends this process. 0 for none.
        on_loss: Called in a thread of its own when a guard that ran cannot be replaced.

    Raises:
        GuardError: No thread can be started that watches the guard.
    """

    def __init__(
        self,
        task: GuardTask,
        lock: Callable[[], int],
        controller: int = 0,
        on_loss: Callable[[GuardError], None] = lambda _error: None,
    ) -> None:
        keep_standard_streams()
        text, kept = task.to_json(), (task.node, task.drivers)
        self._start: Callable[[], GuardChild] = lambda: GuardChild(text, lock(), controller, kept)
        self._on_loss = on_loss
        self._serial = task.serial
        self._changed = threading.Condition()
        self._state = _State.STARTING
        self._is_guarded = False  # the watcher's alone
        self._process = self._start()
        forget_on_fork(self)
        self._watcher = threading.Thread(target=self._watch, name=f"hil-guard-{task.serial}", daemon=True)
        try:
            self._watcher.start()
        except RuntimeError as error:
            self._process.end(kill=True)
            self.close()
            raise self._as_error(f"this process cannot start another thread ({error})") from error

    def wait_until_ready(self, timeout_s: float = ATTEMPTS * (READY_S + 1)) -> int | None:
        """Return the guard's pid, or None if no guard is ready in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready_pid or self._state is _State.LOST, timeout_s)
            return self._ready_pid or None

    def require(self) -> None:
        """Wait until the guard runs: before that, no board may be handed out, and none sent a request.

        Raises:
            GuardError: No guard can run.
        """
        if not self._ready_pid and self.wait_until_ready() is None:
            raise self._as_error(self._process.problem or "it did not start in time")

    @property
    def _ready_pid(self) -> int:
        """The pid of a guard that is ready and that the watcher watches; else 0."""
        return self._process.pid if self._is_guarded else 0

    def release(self) -> None:
        """Tell the guard that the board is safe and released; the guard ends."""
        with self._changed, suppress(OSError):  # a guard that died first will not act
            self._state = _State.OVER
            if not self._process.is_cut_off:
                self._process.socket.sendall(RELEASED)

    def abandon(self) -> None:
        """Leave the board to the guard, which makes it safe and unlocks it; return once it has taken over.

        Raises:
            GuardError: The guard was killed, and no other can be started.
        """
        with self._changed:
            self._state = _State.OVER
            self._process.hang_up()
        if self.is_cut_off:
            return
        self._watcher.join(TAKE_S)
        if self._process.stage is not GuardStage.TAKEN:
            self._process.end(kill=True)  # it is stopped, or hangs: it must not act when it continues
            self._watcher.join(END_S)
        for _attempt in range(ATTEMPTS):
            if self._process.stage is not GuardStage.TAKEN:
                self._process.disconnect()
                self._process = self._start()
                self._process.hang_up()
                self._process.listen()
        if self._process.stage is not GuardStage.TAKEN:
            raise self._as_error(self._process.problem)

    def join(self) -> None:
        """Wait until a released guard has ended, a second at most."""
        self._watcher.join(END_S)
        if not self._watcher.is_alive():
            self._process.disconnect()

    @property
    def is_cut_off(self) -> bool:
        """Whether other code of this process closed the socket: the guard then makes the board safe."""
        return self._process.is_cut_off

    def close(self) -> None:
        """Close this process's copies of the socket and the pidfd; send nothing."""
        self._state = _State.OVER
        self._process.close()

    def _watch(self) -> None:
        """Keep a guard beside this process; when this ends for whatever reason, the board has none."""
        why = ""
        try:
            why = self._replace_each()
        except BaseException as error:  # noqa: BLE001 - its cause may be any code of this process
            why = f"the thread that watches it failed ({error!r})"
        finally:
            self._is_guarded = False
        if why:
            self._give_up(why)

    def _replace_each(self) -> str:
        """Replace each guard that ends; return why no other can be started, or "" if none is needed.

        The lock stays held, because this process shares it.
        """
        backoff, failures = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S), 0
        while True:
            process, began = self._process, time.monotonic()
            try:
                process.listen(self._note_ready)
            finally:
                self._is_guarded = False
            failures = failures + 1 if process.stage is GuardStage.STARTED else 0
            if time.monotonic() - began > LONG_LIFE_S:
                backoff.reset()
            if failures >= ATTEMPTS:
                return process.problem or diagnose()
            with self._changed:
                if self._state is _State.OVER or process.is_cut_off:
                    return ""
                process.disconnect()
                try:
                    self._process = self._start()
                except GuardError as error:
                    process.stage, process.problem = GuardStage.STARTED, error.why
            time.sleep(backoff.next())

    def _note_ready(self) -> None:
        with self._changed:
            if self._state is _State.STARTING:
                self._state = _State.GUARDED
            self._is_guarded = True
            self._changed.notify_all()

    def _give_up(self, why: str) -> None:
        with self._changed:
            self._process.problem = why
            before, self._state = self._state, _State.LOST
            self._changed.notify_all()
        if before is _State.GUARDED:
            self._on_loss(self._as_error(why))

    def _as_error(self, why: str) -> GuardError:
        return GuardError(
            f"no guard runs beside this process for board {self._serial}",
            why=f"{why}; without one, a killed process would leave the DUT powered",
            remedy=f"{' '.join(interpreter())} must be able to run {SCRIPT}",
            serial=self._serial,
        )
