"""Threads that call the board, so that an exporter's event loop never blocks.

An idle thread of this pool answers within 50 microseconds; anyio's threads take 130 to 160 when the process
was idle before. A test asks its board often, one request after the other, so the difference counts.
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


async def run_in_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Call a function in a thread and wait for its result; raise what it raises.

    A cancelled caller waits for the end of the call, too, as with anyio: no call runs on unseen.
    """
    call = _Call(function, arguments)
    thread = _idle.pop() if _idle else _WorkerThread()
    thread.calls.put(call)
    try:
        result: _T = await call.future
    except asyncio.CancelledError:
        with CancelScope(shield=True):
            await call.wait_finished()
        raise
    return result


def in_thread(function: Callable[..., _T]) -> Callable[..., Coroutine[Any, Any, _T]]:
    """Turn a driver's method into a coroutine that runs it in a thread.

    Jumpstarter awaits such a method, where it would call others in a thread of anyio's.
    """

    @wraps(function)
    async def call(*arguments: object) -> _T:
        return await run_in_thread(function, *arguments)

    return call


class _Call:
    """A call of a function in a thread. Only `run` and `report` may be called outside of the event loop."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self._loop = asyncio.get_running_loop()
        self._result: Any = None
        self._error: BaseException | None = None
        self._finished: Event | None = None
        self._is_finished = False
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def run(self) -> None:
        """Call the function in this thread and keep its result or error."""
        try:
            self._result = self._function(*self._arguments)
        except BaseException as raised:  # noqa: BLE001 - the caller gets it
            self._error = raised

    def report(self) -> None:
        """Pass the result to the event loop."""
        with suppress(RuntimeError):  # the loop has ended, and the caller with it
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._is_finished = True
        if self._finished is not None:
            self._finished.set()
        if self.future.done():  # the caller was cancelled
            return
        if self._error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self._error)

    async def wait_finished(self) -> None:
        """Wait until the function has returned or raised."""
        if not self._is_finished:
            self._finished = Event()
            await self._finished.wait()


class _WorkerThread(threading.Thread):
    """A daemon thread that makes one call after the other until the process ends."""

    def __init__(self) -> None:
        super().__init__(name="hil-worker", daemon=True)
        self.calls: SimpleQueue[_Call] = SimpleQueue()
        self.start()

    def run(self) -> None:
        """Make calls for ever."""
        while True:
            call = self.calls.get()
            call.run()
            _idle.append(self)
            call.report()
            del call


_idle: deque[_WorkerThread] = deque()
"""Idle threads; append and pop of a deque are thread-safe."""
