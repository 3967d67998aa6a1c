"""The run's end of the stream to an exporter: questions and answers about one board, from any thread.

Whatever ends the stream makes the board lost, at once and for good. An exporter's host that just went dark
ends no stream, but it falls silent; then the lease is asked what became of it.
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
"""Seconds that an answer may take longer than its own time limit: the way there and back."""


class RemoteSession:
    """A stream to an exporter's board.

    Args:
        connection: The way to the exporter.
        on_stick: Told when the stick comes to the exporter's host ({name, size_bytes}) or goes ({}).
    """

    def __init__(self, connection: ExporterConnection, on_stick: Callable[[dict[str, Any]], None]) -> None:
        self._connection = connection
        self._portal: BlockingPortal = connection.portal
        self._on_stick = on_stick
        self._numbers = itertools.count(1)
        self._questions: dict[int, Future[Frame]] = {}
        self._lock = threading.Lock()
        self._lost = ""
        self._ready: Future[dict[str, Any]] = Future()
        self._told: Callable[[str], None] = lambda _holder: None
        self._holder = ""
        self._opened: AbstractContextManager[ObjectStream[bytes]] = self._portal.wrap_async_context_manager(
            enter_within(ANSWER_LIMIT_S, connection.board.stream_async("session"))
        )
        self._stream = self._entered()
        self._sending: Lock = self._portal.call(Lock)
        self._monitor = HeartbeatMonitor(EXPORTER_TIMEOUT_S)
        self._tasks = [self._portal.start_task_soon(self._read)]

    def _entered(self) -> ObjectStream[bytes]:
        try:
            return self._opened.__enter__()
        except Exception as error:
            why = self._connection.ask_why_lost() or f"it does not answer ({type(error).__name__})"
            raise self._connection.lost_error(why) from error

    def begin(self, wait_s: float, on_wait: Callable[[str], None]) -> dict[str, Any]:
        """Wait until the board is ours; returns what the exporter says of it.

        Args:
            wait_s: How long others may keep it, in seconds.
            on_wait: Told who has it.

        Raises:
            BoardBusyError: They kept it longer.
            BoardLostError: The exporter went away.
        """
        self._told = on_wait
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

    def ask(self, kind: FrameKind, payload: bytes, limit_s: float) -> Frame | None:
        """Ask, and return the answer; None when there was none in time though the lease lasts.

        Raises:
            BoardLostError: The stream has ended, or the lease has.
        """
        number, answer = next(self._numbers), Future[Frame]()
        with self._lock:
            if self._lost:
                raise self._connection.lost_error(self._lost)
            self._questions[number] = answer
        try:
            self._send(Frame(kind, number, payload))
            return answer.result(limit_s + GRACE_S)
        except TimeoutError:
            why = self._connection.ask_why_lost()
            if why:
                self.lose(why)
                raise self._connection.lost_error(why) from None
            return None
        finally:
            self._questions.pop(number, None)

    def note(self, test: str) -> None:
        """Say what the board is used for now; what stands in the way of that, its first use will say."""
        with suppress(BoardLostError):
            self.ask(FrameKind.NOTE, json.dumps({"test": test}).encode(), GRACE_S)

    def lose(self, why: str) -> None:
        """Declare the board lost; every question fails with it."""
        with self._lock:
            if self._lost:
                return
            self._lost = why
            waiting: list[Future[Any]] = [self._ready, *self._questions.values()]
        for question in waiting:
            if not question.done():
                question.set_exception(self._connection.lost_error(why))
        self._connection.mark_lost(why)

    def close(self) -> None:
        """End the stream; the exporter then makes the board safe."""
        self.lose("this run has given it back")
        for task in self._tasks:
            task.cancel()
        with suppress(Exception):  # a stream that broke cannot be closed well
            self._opened.__exit__(None, None, None)

    async def _send_heartbeats(self) -> None:
        await send_heartbeats(lambda frame: self._put(frame.to_bytes()))

    async def _watch(self) -> None:
        """Run in the portal's loop until the exporter falls silent."""
        why = await self._monitor.wait_for_timeout()
        self.lose(await self._connection.ask_why_lost_async() or why)

    def _send(self, frame: Frame) -> None:
        self._portal.start_task_soon(self._put, frame.to_bytes())

    async def _put(self, data: bytes) -> None:
        """Send one frame behind the other: gRPC loses what is written while a write is going on."""
        async with self._sending:
            try:
                await self._stream.send(data)
            except Exception as error:  # noqa: BLE001 - whatever it was, the stream is of no use any more
                name = type(error).__name__
                self.lose(await self._connection.ask_why_lost_async() or f"its connection broke ({name})")

    async def _read(self) -> None:
        """Run in the portal's loop until the stream ends."""
        frames = FrameDecoder()
        why = ""
        try:
            async for data in self._stream:
                self._monitor.frame_received()
                for frame in frames.feed(data):
                    self._hear(frame)
        except Exception as error:  # noqa: BLE001 - whatever it was, the stream is of no use any more
            why = f"{type(error).__name__} {error}".strip()
        why = (
            await self._connection.ask_why_lost_async()
            or f"its exporter ended the connection{why and f' ({why})'}"
        )
        self.lose(why)

    def _hear(self, frame: Frame) -> None:
        if frame.kind is FrameKind.READY:
            self._ready.set_result(frame.json)
        elif frame.kind is FrameKind.WAIT:
            self._holder = str(frame.json["holder"])
            self._told(self._holder)
        elif frame.kind is FrameKind.STICK:
            self._on_stick(frame.json)
        elif frame.kind is not FrameKind.HEARTBEAT:
            question = self._questions.get(frame.number)
            if question is not None and not question.done():
                question.set_result(frame)


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _command() -> str:
    return " ".join(sys.argv)[:200]
