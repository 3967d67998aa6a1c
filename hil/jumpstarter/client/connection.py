"""A run's connection to one exporter: an event loop in a thread, with Jumpstarter's clients in it."""

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
from hil.jumpstarter.protocol.board_description import BOARD_CLIENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from anyio import CancelScope
    from anyio.from_thread import BlockingPortal

__all__ = ["ANSWER_LIMIT_S", "ExporterConnection", "enter_within"]

ANSWER_LIMIT_S = 45.0
"""Seconds that an exporter may take to open its board, which may be in a power sequence or be made safe."""

_LOST_CHECK_LIMIT_S = 2.0
_T = TypeVar("_T")


class ExporterConnection:
    """A connection to an exporter that offers a DUTLink board.

    Attributes:
        label: Name of the exporter in messages.
        portal: Runs coroutines in the event loop of this connection.
        exporter: The exporter's name; empty: it is not known.
        board: Jumpstarter's client of the driver of the whole board.
        console: Jumpstarter's client of the console driver.
        on_lost: Functions that are called with the reason when the exporter is lost.
        lost_reason: Why the exporter is lost; empty: it is not lost as far as is known.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.exporter = ""
        self.board: Any = None
        self.console: Any = None
        self.on_lost: list[Callable[[str], None]] = []
        self.lost_reason = ""
        self._lost_check: Callable[[], Awaitable[str]] | None = None
        self._stack = ExitStack()
        for name in ("jumpstarter", "BoardClient", "PySerialClient"):
            logging.getLogger(name).setLevel(logging.ERROR)  # what matters is raised as an error of hil
        self.portal: BlockingPortal = self._stack.enter_context(start_blocking_portal())
        self._lost_event = self.portal.call(_new_event)
        self._loop = self.portal.call(_this_loop)

    def set_lost_check(self, check: Callable[[], Awaitable[str]]) -> None:
        """Set the function that returns why the exporter cannot be used any more, or an empty string."""
        self._lost_check = check

    def connect(self, make: Callable[[BlockingPortal, ExitStack], Any]) -> Self:
        """Connect, and find the clients of the board's drivers.

        Args:
            make: Takes portal and stack; returns a context manager of Jumpstarter's root client.

        Raises:
            BoardAbsentError: The exporter offers no DUTLink board.
        """
        clients = self._stack.enter_context(ExitStack())
        root = self._stack.enter_context(self.portal.wrap_async_context_manager(make(self.portal, clients)))
        parent = _parent_of_board(root)
        if parent is None:
            raise BoardAbsentError(
                f"{self.label} has no DUTLink board",
                why="its exporter does not use the driver hil.jumpstarter.exporter.driver.Dutlink",
                remedy="see docs/jumpstarter.md for its configuration",
            )
        self.board = next(filter(_is_board, parent.children.values()))
        self.console = parent.children["console"]
        return self

    def describe(self) -> dict[str, Any]:
        """Return the exporter's description of its board.

        Raises:
            BoardLostError: The exporter does not answer.
        """
        try:
            facts: dict[str, Any] = self.portal.call(self._describe)
        except Exception as error:
            why = self.ask_why_lost() or f"it does not answer ({type(error).__name__})"
            raise self.lost_error(why) from error
        return facts

    async def _describe(self) -> Any:  # noqa: ANN401 - Jumpstarter's
        async with asyncio.timeout(ANSWER_LIMIT_S):
            return await self.board.call_async("describe")

    def ask_why_lost(self) -> str:
        """Ask why the exporter is lost; return an empty string if it is not, or if the answer is unknown."""
        return self.portal.call(self.ask_why_lost_async) if self._lost_check else ""

    async def ask_why_lost_async(self) -> str:
        """Like `ask_why_lost`, for the portal's loop."""
        if self._lost_check is None:
            return ""
        try:
            with fail_after(_LOST_CHECK_LIMIT_S):
                return await self._lost_check()
        except Exception:  # noqa: BLE001 - a controller that fails to answer says nothing of the exporter
            return ""

    def mark_lost(self, why: str) -> None:
        """Declare the exporter lost, from any thread; only the first reason counts."""
        if self.lost_reason:
            return
        self.lost_reason = why
        for act in self.on_lost:
            act(why)
        with suppress(RuntimeError):  # the loop has ended, and with it all that could wait
            self._loop.call_soon_threadsafe(self._lost_event.set)

    @contextmanager
    def stream(self, method: str) -> Iterator[Any]:
        """Open a stream of the board's driver for a `with` block; it breaks when the exporter is lost.

        Raises:
            Exception: The stream cannot be opened: any error of gRPC, or EOFError if the exporter is lost.
        """
        opened: Future[Any] = Future()
        done = self.portal.call(_new_event)
        task = self.portal.start_task_soon(self.run_unless_lost, self._hold_stream, method, opened, done)
        task.add_done_callback(partial(self._fail_if_unopened, opened))
        try:
            yield opened.result()
        finally:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(done.set)
            with suppress(Exception):  # closing a broken stream fails
                task.result()

    def _fail_if_unopened(self, opened: Future[Any], _task: Future[Any]) -> None:
        if not opened.done():
            opened.set_exception(EOFError(self.lost_reason))

    async def _hold_stream(self, method: str, opened: Future[Any], done: asyncio.Event) -> None:
        try:
            async with self.board.stream_async(method) as stream:
                opened.set_result(stream)
                await done.wait()
        except Exception as error:
            if not opened.done():
                opened.set_exception(error)
            raise

    async def wait_until_lost(self) -> None:
        """Wait, in the portal's loop, until the exporter is lost."""
        await self._lost_event.wait()

    async def run_unless_lost(self, act: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
        """Await `act(*arguments)` in the portal's loop; cancel it if the exporter is lost.

        Raises:
            EOFError: The exporter is lost.
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
        """Return the error that the exporter is lost."""
        return BoardLostError(
            f"the board of {self.label} is lost", why=why, remedy="see that exporter's log; then run again"
        )

    def on_close(self, act: Callable[[], object]) -> None:
        """Call `act` when the connection is closed; the last registered function is called first."""
        self._stack.callback(_ignore_errors, act)

    @contextmanager
    def close_on_error(self) -> Iterator[Self]:
        """Close the connection if the block fails."""
        try:
            yield self
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        _ignore_errors(self._stack.close)


@asynccontextmanager
async def enter_within(limit_s: float, entering: AbstractAsyncContextManager[_T]) -> AsyncIterator[_T]:
    """Enter a context within a time limit, which does not hold for the block.

    asyncio's timeout, since gRPC turns a cancellation by anyio into one of its own that anyio does not
    recognize.
    """
    async with asyncio.timeout(limit_s) as limit, entering as entered:
        limit.reschedule(None)
        yield entered


async def _new_event() -> asyncio.Event:
    return asyncio.Event()


async def _this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _ignore_errors(act: Callable[[], object]) -> None:
    """Call a function whose errors only mean that the other end is gone already."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - as said
        logging.getLogger(__name__).debug("leaving an exporter: %s", error)


def _parent_of_board(client: Any) -> Any:  # noqa: ANN401 - Jumpstarter's
    """Return the client in the tree below `client` that has a DUTLink board as its child, or None."""
    children = getattr(client, "children", {}).values()
    if any(map(_is_board, children)):
        return client
    return next(filter(None, map(_parent_of_board, children)), None)


def _is_board(client: Any) -> bool:  # noqa: ANN401 - Jumpstarter's
    labels: dict[str, str] = client.labels
    return labels.get("jumpstarter.dev/client") in BOARD_CLIENTS
