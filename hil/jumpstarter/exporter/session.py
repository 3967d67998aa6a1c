"""The exporter's end of one run's stream: the run has the board to itself for as long as the stream lasts.

However the run ends, the stream ends with it; then the board is made safe, before anybody else gets it.
"""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from anyio import create_task_group, move_on_after

from hil.dutlink.usb.protocol import VENDOR_OUT, Request, StorageAction
from hil.errors import HilError
from hil.jumpstarter.exporter.stick_watch import watch_stick
from hil.jumpstarter.protocol import heartbeat
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind, Transfer
from hil.jumpstarter.protocol.heartbeat import HeartbeatMonitor, send_heartbeats
from hil.jumpstarter.protocol.threads import run_in_thread

if TYPE_CHECKING:
    from anyio import CancelScope
    from anyio.abc import ObjectStream

    from hil.dutlink.storage.storage import Storage
    from hil.jumpstarter.exporter.access_queue import AccessQueue
    from hil.jumpstarter.exporter.tenant import Tenant

__all__ = ["ExporterSession"]

logger = logging.getLogger(__name__)


class ExporterSession:
    """One run's stream.

    Args:
        stream: To the run.
        tenant: The lease that it belongs to.
        access_queue: Everybody who wants the board.
        facts: What the run is told about the board.
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
        """Answer until the stream ends, or this is cancelled."""
        frames = FrameDecoder()
        said: list[Frame] = []
        with move_on_after(heartbeat.RUN_TIMEOUT_S):  # a run says HELLO at once
            while not said:
                said += frames.feed(await self._stream.receive())
        if not said:
            await self._stream.aclose()
            return
        self._name = _name(said.pop(0).json)
        async with create_task_group() as tasks:
            tasks.start_soon(send_heartbeats, self._say)
            await self._have_board(frames, said)
            tasks.cancel_scope.cancel()
        await self._stream.aclose()

    async def _have_board(self, frames: FrameDecoder, said: list[Frame]) -> None:
        async with self._access_queue.exclusive(self._name, self._tell_waiting):
            try:
                await self._say(Frame.with_json(FrameKind.READY, self._facts))
                async with create_task_group() as tasks:
                    tasks.start_soon(self._tell_stick)
                    tasks.start_soon(self._end_with_run, tasks.cancel_scope)
                    await self._answer(frames, said)
                    tasks.cancel_scope.cancel()
            finally:
                self._tenant.reset()

    async def _end_with_run(self, answering: CancelScope) -> None:
        """End when the run's host has gone dark: it ends no stream, and others wait for the board."""
        why = await self._monitor.wait_for_timeout()
        logger.warning("board %s is taken from %s: %s", self._tenant.serial, self._name, why)
        answering.cancel()

    async def _answer(self, frames: FrameDecoder, said: list[Frame]) -> None:
        for frame in said:
            await self._answer_one(frame)
        async for data in self._stream:
            self._monitor.frame_received()
            for frame in frames.feed(data):
                await self._answer_one(frame)

    async def _answer_one(self, frame: Frame) -> None:
        if frame.kind is FrameKind.LIST:
            await self._say(await run_in_thread(self._list, frame.number))
        elif frame.kind is FrameKind.NOTE:
            await self._say(await run_in_thread(self._note, frame))
        elif frame.kind is FrameKind.TRANSFER:
            await self._say(await run_in_thread(self._transfer, frame))

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
        """Do a transfer; the stick is followed when the mux turns."""
        transfer = Transfer.from_bytes(frame.payload)
        try:
            self._tenant.ensure_attached()
            if (transfer.request_type, transfer.request) == (VENDOR_OUT, Request.STORAGE):
                status = self._turn(transfer.value)
                return Frame.result(frame.number, status, b"")
        except HilError as error:
            return Frame.result(frame.number, error.errno or errno.ENODEV, b"")
        return Frame.result(frame.number, *self._usb.transfer(transfer))

    def _turn(self, value: int) -> int:
        """Turn the mux the way that finds the stick; a value that no firmware knows is refused as it does."""
        if value not in set(StorageAction):
            return errno.EPIPE
        with self._tenant.board() as board:
            turn = (board.storage.off, board.storage.host, board.storage.dut)[value]
            turn(force=True)  # a raw request is the run's own word, as when it makes the board safe
        return 0

    async def _tell_stick(self) -> None:
        async for seen in watch_stick(self._storage):
            facts = {"name": seen[0].name, "size_bytes": seen[1]} if seen else {}
            await self._say(Frame.with_json(FrameKind.STICK, facts))

    def _storage(self) -> Storage:
        with self._tenant.board() as board:
            return board.storage

    async def _tell_waiting(self, holder: str) -> None:
        await self._say(Frame.with_json(FrameKind.WAIT, {"holder": holder}))

    async def _say(self, frame: Frame) -> None:
        await self._stream.send(frame.to_bytes())


def _name(hello: Any) -> str:  # noqa: ANN401 - whatever a client said
    hello = hello if isinstance(hello, dict) else {}
    return f"{hello.get('user')}@{hello.get('host')} (pid {hello.get('pid')}: {hello.get('command')})"
