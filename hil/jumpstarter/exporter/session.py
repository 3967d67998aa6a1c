"""The exporter's end of a run's session: the run has the board to itself until the stream ends.

The stream ends with the run, however the run ends. Then the board is made safe before another client gets it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from anyio import create_task_group, move_on_after

from hil.dutlink.storage.stick_path import size_bytes
from hil.dutlink.storage.storage import Position
from hil.dutlink.usb.protocol import VENDOR_OUT, Request, StorageAction
from hil.errors import HilError
from hil.jumpstarter.protocol import heartbeat
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind, Transfer
from hil.jumpstarter.protocol.heartbeat import HeartbeatMonitor, send_heartbeats
from hil.jumpstarter.protocol.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from anyio import CancelScope
    from anyio.abc import ObjectStream

    from hil.dutlink.storage.storage import Storage
    from hil.jumpstarter.exporter.base_driver import AccessQueue
    from hil.jumpstarter.exporter.tenant import Tenant

__all__ = ["ExporterSession", "watch_stick"]

_STICK_INTERVAL_S = 0.05


async def watch_stick(storage: Callable[[], Storage]) -> AsyncIterator[tuple[Path, int] | None]:
    """Yield node and size of the stick when it appears, and None when it vanishes; for ever.

    A run moves the mux by its own requests or in the board's shell, so the exporter cannot know the stick's
    position; only the node tells whether the stick is here.

    Args:
        storage: Returns the board's present storage: a replugged board has a new one.
    """
    last: tuple[Path, int] | None = None
    while True:
        seen = await run_in_thread(_find_stick, storage)
        if seen != last:
            last = seen
            yield last
        await asyncio.sleep(_STICK_INTERVAL_S)


def _find_stick(present_storage: Callable[[], Storage]) -> tuple[Path, int] | None:
    try:
        storage = present_storage()
    except HilError:  # the board is lost, or the lease is over
        return None
    if storage.position is Position.HOST and (storage.node is None or storage.is_awaited):
        with suppress(HilError):  # the run that waits for the stick gets this error
            storage.wait_for_node()
    node = storage.verified_node
    size = size_bytes(node) if node is not None else 0
    return (node, size) if node is not None and size else None


logger = logging.getLogger(__name__)


class ExporterSession:
    """One run's session.

    Args:
        stream: Stream to the run.
        tenant: The Jumpstarter lease that the stream belongs to.
        access_queue: The clients of the board.
        facts: What READY tells the run about the board.
    """

    def __init__(
        self, stream: ObjectStream[bytes], tenant: Tenant, access_queue: AccessQueue, facts: dict[str, Any]
    ) -> None:
        self._stream = stream
        self._tenant = tenant
        self._access_queue = access_queue
        self._facts = facts
        self._name = ""
        self._monitor = HeartbeatMonitor(heartbeat.RUN_TIMEOUT_S)
        self._usb = tenant.exported.usb

    async def serve(self) -> None:
        """Answer the run until its stream ends or this task is cancelled."""
        decoder = FrameDecoder()
        frames: list[Frame] = []
        with move_on_after(heartbeat.RUN_TIMEOUT_S):  # a run sends HELLO at once
            while not frames:
                frames += decoder.feed(await self._stream.receive())
        if not frames:
            await self._stream.aclose()
            return
        self._name = _name(frames.pop(0).json)
        async with create_task_group() as tasks:
            tasks.start_soon(send_heartbeats, self._send)
            await self._serve_in_turn(decoder, frames)
            tasks.cancel_scope.cancel()
        await self._stream.aclose()

    async def _serve_in_turn(self, decoder: FrameDecoder, frames: list[Frame]) -> None:
        async with self._access_queue.exclusive(self._name, self._report_holder):
            try:
                await self._send(Frame.with_json(FrameKind.READY, self._facts))
                async with create_task_group() as tasks:
                    tasks.start_soon(self._report_stick)
                    tasks.start_soon(self._stop_when_silent, tasks.cancel_scope)
                    await self._answer_all(decoder, frames)
                    tasks.cancel_scope.cancel()
            finally:
                self._tenant.reset()

    async def _stop_when_silent(self, answering: CancelScope) -> None:
        """Stop if the run falls silent: a host that goes dark closes no stream, and other runs wait."""
        why = await self._monitor.wait_for_timeout()
        logger.warning("board %s is taken from %s: %s", self._tenant.serial, self._name, why)
        answering.cancel()

    async def _answer_all(self, decoder: FrameDecoder, frames: list[Frame]) -> None:
        for frame in frames:
            await self._answer(frame)
        async for data in self._stream:
            self._monitor.frame_received()
            for frame in decoder.feed(data):
                await self._answer(frame)

    async def _answer(self, frame: Frame) -> None:
        if frame.kind is FrameKind.LIST:
            await self._send(await run_in_thread(self._list, frame.number))
        elif frame.kind is FrameKind.NOTE:
            await self._send(await run_in_thread(self._note, frame))
        elif frame.kind is FrameKind.TRANSFER:
            await self._send(await run_in_thread(self._transfer, frame))

    def _note(self, frame: Frame) -> Frame:
        with suppress(HilError, LookupError, TypeError):
            self._tenant.note_use(f"{frame.json['test']}, by {self._name}")
        return Frame.result(frame.number, 0, b"")

    def _list(self, number: int) -> Frame:
        self._tenant.ensure_attached()
        try:
            return Frame.with_json(FrameKind.LISTING, self._usb.list_devices(), number)
        except HilError as error:
            logger.warning("board %s cannot be listed: %s", self._tenant.serial, error)
            return Frame.with_json(FrameKind.LISTING, [], number)

    def _transfer(self, frame: Frame) -> Frame:
        """Do a control transfer; `_move_stick` does one that moves the storage mux."""
        transfer = Transfer.from_bytes(frame.payload)
        try:
            self._tenant.ensure_attached()
            if (transfer.request_type, transfer.request) == (VENDOR_OUT, Request.STORAGE):
                status = self._move_stick(transfer.value)
                return Frame.result(frame.number, status, b"")
        except HilError as error:
            return Frame.result(frame.number, error.errno or errno.ENODEV, b"")
        return Frame.result(frame.number, *self._usb.transfer(transfer))

    def _move_stick(self, value: int) -> int:
        """Move the stick by the driver's own methods, which find its node; return an errno.

        A value that the firmware does not know is refused as the firmware refuses it.
        """
        if value not in set(StorageAction):
            return errno.EPIPE
        with self._tenant.board() as board:
            move = (board.storage.off, board.storage.host, board.storage.dut)[value]
            move(force=True)  # the run has made its own checks, or makes the board safe
        return 0

    async def _report_stick(self) -> None:
        async for seen in watch_stick(self._storage):
            facts = {"name": seen[0].name, "size_bytes": seen[1]} if seen else {}
            await self._send(Frame.with_json(FrameKind.STICK, facts))

    def _storage(self) -> Storage:
        with self._tenant.board() as board:
            return board.storage

    async def _report_holder(self, holder: str) -> None:
        await self._send(Frame.with_json(FrameKind.WAIT, {"holder": holder}))

    async def _send(self, frame: Frame) -> None:
        await self._stream.send(frame.to_bytes())


def _name(hello: Any) -> str:  # noqa: ANN401 - JSON of any shape
    hello = hello if isinstance(hello, dict) else {}
    return f"{hello.get('user')}@{hello.get('host')} (pid {hello.get('pid')}: {hello.get('command')})"
