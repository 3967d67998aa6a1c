"""Threads that wait for a board, so that the event loop goes on meanwhile.

anyio's threads cost 130 to 160 microseconds each time where the process was idle before, these 50: a board
is asked often, and one question at a time.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from functools import wraps
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CancelScope, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["in_thread", "run_in_thread"]

_T = TypeVar("_T")


async def run_in_thread(act: Callable[..., _T], *arguments: object) -> _T:
    """Have a thread do it, and wait for that; raises what it raises.

    Nothing is left behind half done: who is cancelled meanwhile waits for its end, too, as with anyio.
    """
    job = _Job(act, arguments)
    hand = _idle.pop() if _idle else _WorkerThread()
    hand.jobs.put(job)
    try:
        result: _T = await job.done
    except asyncio.CancelledError:
        with CancelScope(shield=True):
            await job.ended()
        raise
    return result


def in_thread(act: Callable[..., _T]) -> Callable[..., Coroutine[Any, Any, _T]]:
    """Make a driver's method one that a thread does: Jumpstarter awaits it where it would use anyio's."""

    @wraps(act)
    async def done(*arguments: object) -> _T:
        return await run_in_thread(act, *arguments)

    return done


class _Job:
    """What somebody wants done. Only for the event loop that it is made in, but for `do`."""

    def __init__(self, act: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        self._act = act
        self._arguments = arguments
        self._loop = asyncio.get_running_loop()
        self._result: Any = None
        self._error: BaseException | None = None
        self._ended: Event | None = None
        self._is_over = False
        self.done: asyncio.Future[Any] = self._loop.create_future()

    def do(self) -> None:
        """Do it, in any thread."""
        try:
            self._result = self._act(*self._arguments)
        except BaseException as raised:  # noqa: BLE001 - it belongs to who asked
            self._error = raised

    def tell(self) -> None:
        """Let who asked know, from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and who asked with it
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._is_over = True
        if self._ended is not None:
            self._ended.set()
        if self.done.done():  # who asked was cancelled
            return
        if self._error is None:
            self.done.set_result(self._result)
        else:
            self.done.set_exception(self._error)

    async def ended(self) -> None:
        """Wait until it was done, whatever came of it."""
        if not self._is_over:
            self._ended = Event()
            await self._ended.wait()


class _WorkerThread(threading.Thread):
    """One thread; it lives as long as the process, and never keeps that alive."""

    def __init__(self) -> None:
        super().__init__(name="hil-hand", daemon=True)
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.start()

    def run(self) -> None:
        """Do one job after the other."""
        while True:
            job = self.jobs.get()
            job.do()
            _idle.append(self)
            job.tell()
            del job


_idle: deque[_WorkerThread] = deque()
"""Both of its ends are safe from any thread."""
