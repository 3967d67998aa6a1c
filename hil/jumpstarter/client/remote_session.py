"""The run's end of its session at an exporter: requests and answers about one board, from any thread.

When the stream ends for any reason, the board is lost at once and for good. An exporter whose host has gone
dark ends no stream, but falls silent; then the controller is asked what has become of the lease.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from getpass import getuser
from typing import TYPE_CHECKING, Any

from anyio import Lock

from hil.errors import BoardBusyError, BoardLostError
from hil.jumpstarter.client.connection import ANSWER_LIMIT_S, enter_within
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind
from hil.jumpstarter.protocol.heartbeat import EXPORTER_TIMEOUT_S, HeartbeatMonitor, send_heartbeats

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from anyio.abc import ObjectStream
    from anyio.from_thread import BlockingPortal

    from hil.jumpstarter.client.connection import ExporterConnection

__all__ = ["GRACE_S", "RemoteSession"]

GRACE_S = 3.0
"""Seconds that an answer may take beyond its own time limit, for the way there and back."""


class RemoteSession:
    """A session at an exporter, which reserves its board.

    Args:
        connection: Connection to the exporter.
        on_stick: Called when the stick appears on the exporter's host ({name, size_bytes}) or vanishes ({}).
    """

    def __init__(self, connection: ExporterConnection, on_stick: Callable[[dict[str, Any]], None]) -> None:
        self._connection = connection
        self._portal: BlockingPortal = connection.portal
        self._on_stick = on_stick
        self._numbers = itertools.count(1)
        self._requests: dict[int, Future[Frame]] = {}
        self._lock = threading.Lock()
        self._lost_reason = ""
        self._ready: Future[dict[str, Any]] = Future()
        self._on_wait: Callable[[str], None] = lambda _holder: None
        self._holder = ""
        self._opened: AbstractContextManager[ObjectStream[bytes]] = self._portal.wrap_async_context_manager(
            enter_within(ANSWER_LIMIT_S, connection.board.stream_async("session"))
        )
        self._stream = self._open_stream()
        self._sending: Lock = self._portal.call(Lock)
        self._monitor = HeartbeatMonitor(EXPORTER_TIMEOUT_S)
        self._tasks = [self._portal.start_task_soon(self._receive)]

    def _open_stream(self) -> ObjectStream[bytes]:
        try:
            return self._opened.__enter__()
        except Exception as error:
            why = self._connection.ask_why_lost() or f"it does not answer ({type(error).__name__})"
            raise self._connection.lost_error(why) from error

    def start(self, wait_s: float, on_wait: Callable[[str], None]) -> dict[str, Any]:
        """Wait until the board is reserved for this run; return the exporter's description of it.

        Args:
            wait_s: How long to wait while another client has the board, in seconds.
            on_wait: Called with the name of that client.

        Raises:
            BoardBusyError: The other client kept the board.
            BoardLostError: The exporter went away.
        """
        self._on_wait = on_wait
        hello = {"user": _user(), "host": socket.gethostname(), "pid": os.getpid(), "command": _command()}
        self._send(Frame.with_json(FrameKind.HELLO, hello))
        self._tasks += [self._portal.start_task_soon(act) for act in (self._watch, self._send_heartbeats)]
        try:
            return self._ready.result(wait_s + GRACE_S)
        except TimeoutError:
            raise BoardBusyError(
                f"the board of {self._connection.label} is in use",
                why=f"{self._holder or 'its exporter does not answer'}; waited {wait_s:g} s",
                remedy="wait longer (--hil-wait SECONDS), or ask them to end that run",
            ) from None

    def request(self, kind: FrameKind, payload: bytes, limit_s: float) -> Frame | None:
        """Send a request and return its answer, or None if none came in time though the lease lasts.

        Raises:
            BoardLostError: The stream or the lease has ended.
        """
        number, answer = next(self._numbers), Future[Frame]()
        with self._lock:
            if self._lost_reason:
                raise self._connection.lost_error(self._lost_reason)
            self._requests[number] = answer
        try:
            self._send(Frame(kind, number, payload))
            return answer.result(limit_s + GRACE_S)
        except TimeoutError:
            why = self._connection.ask_why_lost()
            if why:
                self.mark_lost(why)
                raise self._connection.lost_error(why) from None
            return None
        finally:
            self._requests.pop(number, None)

    def note(self, test: str) -> None:
        """Tell the exporter which test uses the board; a lost board is reported by its first use."""
        with suppress(BoardLostError):
            self.request(FrameKind.NOTE, json.dumps({"test": test}).encode(), GRACE_S)

    def mark_lost(self, why: str) -> None:
        """Declare the board lost; all waiting requests raise `BoardLostError`."""
        with self._lock:
            if self._lost_reason:
                return
            self._lost_reason = why
            waiting: list[Future[Any]] = [self._ready, *self._requests.values()]
        for request in waiting:
            if not request.done():
                request.set_exception(self._connection.lost_error(why))
        self._connection.mark_lost(why)

    def close(self) -> None:
        """End the stream; the exporter then makes the board safe."""
        self.mark_lost("this run has given it back")
        for task in self._tasks:
            task.cancel()
        with suppress(Exception):  # closing a broken stream fails
            self._opened.__exit__(None, None, None)

    async def _send_heartbeats(self) -> None:
        await send_heartbeats(lambda frame: self._send_bytes(frame.to_bytes()))

    async def _watch(self) -> None:
        """Run in the portal's loop until the exporter falls silent."""
        why = await self._monitor.wait_for_timeout()
        self.mark_lost(await self._connection.ask_why_lost_async() or why)

    def _send(self, frame: Frame) -> None:
        self._portal.start_task_soon(self._send_bytes, frame.to_bytes())

    async def _send_bytes(self, data: bytes) -> None:
        """Send a frame after the one before it: gRPC loses bytes that are written during another write."""
        async with self._sending:
            try:
                await self._stream.send(data)
            except Exception as error:  # noqa: BLE001 - after any error the stream is of no use
                name = type(error).__name__
                why = await self._connection.ask_why_lost_async()
                self.mark_lost(why or f"its connection broke ({name})")

    async def _receive(self) -> None:
        """Run in the portal's loop until the stream ends."""
        decoder = FrameDecoder()
        ended = ""
        try:
            async for data in self._stream:
                self._monitor.frame_received()
                for frame in decoder.feed(data):
                    self._handle(frame)
        except Exception as error:  # noqa: BLE001 - after any error the stream is of no use
            ended = f" ({type(error).__name__} {error})"
        why = await self._connection.ask_why_lost_async()
        self.mark_lost(why or f"its exporter ended the connection{ended}")

    def _handle(self, frame: Frame) -> None:
        if frame.kind is FrameKind.READY:
            self._ready.set_result(frame.json)
        elif frame.kind is FrameKind.WAIT:
            self._holder = str(frame.json["holder"])
            self._on_wait(self._holder)
        elif frame.kind is FrameKind.STICK:
            self._on_stick(frame.json)
        elif frame.kind is not FrameKind.HEARTBEAT:
            request = self._requests.get(frame.number)
            if request is not None and not request.done():
                request.set_result(frame)


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _command() -> str:
    return " ".join(sys.argv)[:200]
