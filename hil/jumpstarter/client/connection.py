"""The way from a run to one exporter: an event loop in a thread, and Jumpstarter's clients in it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from anyio import create_task_group, fail_after
from anyio.from_thread import start_blocking_portal

from hil.errors import BoardAbsentError, BoardLostError
from hil.jumpstarter.exporter.j_clients import BoardClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from anyio import CancelScope
    from anyio.from_thread import BlockingPortal

__all__ = ["ALLOWED_CLIENTS", "ANSWER_LIMIT_S", "ExporterConnection", "enter_within"]

ALLOWED_CLIENTS = ["hil.jumpstarter.*", "jumpstarter_driver_*"]
"""Client classes that an exporter may name; it is not believed beyond them."""

ANSWER_LIMIT_S = 45.0
"""Seconds within which an exporter opens its board: that may be in a power sequence, or be made safe."""

_ASK_LIMIT_S = 2.0
_T = TypeVar("_T")


class ExporterConnection:
    """A connection to an exporter that offers a board of ours.

    Attributes:
        label: What reports call the other end.
        portal: Runs what is asynchronous.
        board: Jumpstarter's client of the board's driver.
        console: Its client of the console's.
        on_lost: Told why, when the exporter is known to be lost.
        over: Why it is; empty while it is not.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.board: Any = None
        self.console: Any = None
        self.on_lost: list[Callable[[str], None]] = []
        self.lost_reason = ""
        self._ask: Callable[[], Awaitable[str]] | None = None
        self._stack = ExitStack()
        for name in ("jumpstarter", "BoardClient", "PySerialClient"):
            logging.getLogger(name).setLevel(logging.ERROR)  # what matters is told as an error of ours
        self.portal: BlockingPortal = self._stack.enter_context(start_blocking_portal())
        self._lost_event = self.portal.call(_new_event)
        self._loop = self.portal.call(_this_loop)

    def set_lost_check(self, ask: Callable[[], Awaitable[str]]) -> None:
        """Have `ask` say why the exporter cannot be used any more; empty: as far as is known it can."""
        self._ask = ask

    def connect(self, make: Callable[[BlockingPortal, ExitStack], Any]) -> Self:
        """Connect, and find the board's drivers.

        Args:
            make: Given portal and stack, returns a context manager of Jumpstarter's root client.

        Raises:
            BoardAbsentError: The exporter offers no board of ours.
        """
        clients = self._stack.enter_context(ExitStack())
        root = self._stack.enter_context(self.portal.wrap_async_context_manager(make(self.portal, clients)))
        parent = _parent_of_board(root)
        if parent is None:
            raise BoardAbsentError(
                f"{self.label} has no board of this kind",
                why="its exporter does not use the driver hil.jumpstarter.exporter.driver.Dutlink",
                remedy="see docs/jumpstarter.md for its configuration",
            )
        self.board = next(child for child in parent.children.values() if isinstance(child, BoardClient))
        self.console = parent.children["console"]
        return self

    def describe(self) -> dict[str, Any]:
        """Return what the exporter says of its board.

        Raises:
            BoardLostError: It does not answer.
        """
        try:
            facts: dict[str, Any] = self.portal.call(self._describe)
        except Exception as error:
            raise self.lost_error(
                self.ask_why_lost() or f"it does not answer ({type(error).__name__})"
            ) from error
        return facts

    async def _describe(self) -> Any:  # noqa: ANN401 - Jumpstarter's
        async with asyncio.timeout(ANSWER_LIMIT_S):
            return await self.board.call_async("describe")

    def ask_why_lost(self) -> str:
        """Ask what became of the lease; empty: it lasts, or nobody can tell."""
        return self.portal.call(self.ask_why_lost_async) if self._ask else ""

    async def ask_why_lost_async(self) -> str:
        """The same, in the portal's loop."""
        if self._ask is None:
            return ""
        try:
            with fail_after(_ASK_LIMIT_S):
                return await self._ask()
        except Exception:  # noqa: BLE001 - who does not answer knows nothing
            return ""

    def mark_lost(self, why: str) -> None:
        """Declare the exporter lost, from any thread; the first reason counts."""
        if self.lost_reason:
            return
        self.lost_reason = why
        for act in self.on_lost:
            act(why)
        with suppress(RuntimeError):  # the loop has ended, and with it all that could wait
            self._loop.call_soon_threadsafe(self._lost_event.set)

    @contextmanager
    def stream(self, method: str) -> Iterator[Any]:
        """Open a stream of the board's driver; it ends, or breaks at once when the exporter is lost.

        Raises:
            Exception: As gRPC has it, or EOFError: the stream cannot be opened.
        """
        opened: Future[Any] = Future()
        done = self.portal.call(_new_event)
        task = self.portal.start_task_soon(self.run_unless_lost, self._keep_open, method, opened, done)
        task.add_done_callback(partial(self._never_opened, opened))
        try:
            yield opened.result()
        finally:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(done.set)
            with suppress(Exception):  # a stream that broke cannot be closed well
                task.result()

    def _never_opened(self, opened: Future[Any], _task: Future[Any]) -> None:
        if not opened.done():
            opened.set_exception(EOFError(self.lost_reason))

    async def _keep_open(self, method: str, opened: Future[Any], done: asyncio.Event) -> None:
        try:
            async with self.board.stream_async(method) as stream:
                opened.set_result(stream)
                await done.wait()
        except Exception as error:
            if not opened.done():
                opened.set_exception(error)
            raise

    async def wait_until_lost(self) -> None:
        """Wait, in the portal's loop, until the exporter is known to be lost."""
        await self._lost_event.wait()

    async def run_unless_lost(self, act: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
        """Await something of the exporter, in the portal's loop.

        Raises:
            EOFError: The exporter is lost, or was lost meanwhile.
        """
        results: list[_T] = []
        async with create_task_group() as tasks:
            tasks.start_soon(self._cancel_when_lost, tasks.cancel_scope)
            results.append(await act(*arguments))
            tasks.cancel_scope.cancel()
        if not results:
            raise EOFError(self.lost_reason)
        return results[0]

    async def _cancel_when_lost(self, scope: CancelScope) -> None:
        await self.wait_until_lost()
        scope.cancel()

    def lost_error(self, why: str) -> BoardLostError:
        """Say that the exporter is lost."""
        return BoardLostError(
            f"the board of {self.label} is lost", why=why, remedy="see that exporter's log; then run again"
        )

    def on_close(self, act: Callable[[], object]) -> None:
        """Have something done when the connection is closed; what came last goes first."""
        self._stack.callback(_quietly, act)

    @contextmanager
    def close_on_error(self) -> Iterator[Self]:
        """Close the connection if the block fails."""
        try:
            yield self
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the exporter; harmless when repeated."""
        _quietly(self._stack.close)


@asynccontextmanager
async def enter_within(limit_s: float, entering: AbstractAsyncContextManager[_T]) -> AsyncIterator[_T]:
    """Enter something within a limit; what follows has none.

    Not by anyio: gRPC makes a cancellation of its own out of one, which anyio does not know again.
    """
    async with asyncio.timeout(limit_s) as limit, entering as entered:
        limit.reschedule(None)
        yield entered


async def _new_event() -> asyncio.Event:
    return asyncio.Event()


async def _this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _quietly(act: Callable[[], object]) -> None:
    """Do what can only fail because the other end is gone already."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - as said
        logging.getLogger(__name__).debug("leaving an exporter: %s", error)


def _parent_of_board(client: Any) -> Any:  # noqa: ANN401 - Jumpstarter's
    children = getattr(client, "children", {})
    if any(isinstance(child, BoardClient) for child in children.values()):
        return client
    return next(filter(None, map(_parent_of_board, children.values())), None)
