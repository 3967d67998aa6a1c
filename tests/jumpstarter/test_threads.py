"""`run_in_thread`: call a function in a thread without blocking the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest
from anyio import create_task_group

from hil.jumpstarter.protocol.threads import run_in_thread

LONG_S = 30.0


def test_run_in_thread_returns_the_result_or_raises_the_error() -> None:
    async def ask() -> None:
        assert await run_in_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(divmod, 7, 0)

    asyncio.run(ask())


def test_run_in_thread_runs_two_calls_at_once() -> None:
    both = threading.Barrier(2)

    async def ask() -> list[int]:
        return await asyncio.gather(run_in_thread(both.wait, LONG_S), run_in_thread(both.wait, LONG_S))

    assert sorted(asyncio.run(ask())) == [0, 1]


@pytest.mark.parametrize("natively", [True, False], ids=["by its task", "by its scope"])
def test_run_in_thread_waits_for_the_thread_when_cancelled(natively: bool) -> None:
    """A request that switches the supply on must not reach the board after it was made safe."""
    began, may_end = threading.Event(), threading.Event()
    told: list[str] = []

    def act() -> None:
        began.set()
        may_end.wait(LONG_S)
        told.append("done")

    async def asking() -> None:
        try:
            await run_in_thread(act)
        finally:
            told.append("left")

    async def cancel() -> None:
        async with create_task_group() as tasks:
            asked = asyncio.ensure_future(asking()) if natively else None
            if asked is None:
                tasks.start_soon(asking)
            await asyncio.to_thread(began.wait, LONG_S)
            if asked is None:
                tasks.cancel_scope.cancel()
            else:
                asked.cancel()
            asyncio.get_running_loop().call_later(0.05, may_end.set)
            if asked is not None:
                await asyncio.wait([asked])

    asyncio.run(cancel())

    assert told == ["done", "left"]
