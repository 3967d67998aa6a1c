"""The board as a run sees it, and what no Jumpstarter interface has: force-off, the safe state, its facts."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import create_task_group
from jumpstarter.driver import export, exportstream
from jumpstarter.streams.common import create_memory_stream

from hil.errors import HilError
from hil.jumpstarter.exporter.base_driver import SupplyDriver
from hil.jumpstarter.exporter.session import ExporterSession
from hil.jumpstarter.exporter.stick_service import StickService
from hil.jumpstarter.protocol.threads import in_thread
from hil.jumpstarter.protocol.wiring_codec import encode_wiring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import ObjectStream

__all__ = ["WholeBoardDriver"]


@dataclass(kw_only=True)
class WholeBoardDriver(SupplyDriver):
    """The whole board.

    Attributes:
        console: The driver of its console, which knows the tty.
        spool: Folder for images on their way to the stick; empty: the system's for temporary files.
    """

    console: Any  # ConsoleDriver
    spool: str = ""

    @classmethod
    def client(cls) -> str:
        """Name the client's class."""
        return "hil.jumpstarter.exporter.j_clients.BoardClient"

    @export
    @in_thread
    def describe(self) -> dict[str, Any]:
        """Return what it is: serial number, firmware, host, name and tags, console."""
        with self.tenant.board() as board:
            facts = {"serial": board.serial, "firmware": str(board.firmware), "host": socket.gethostname()}
            info = self.tenant.exported.info_of(board)
        try:
            tty = self.console.console()
        except HilError:  # its first use says why it cannot be
            tty = self.console.uart()
        return facts | {
            "name": info.name,
            "tags": sorted(info.tags),
            "console": tty.path.name,
            "console_is_board": tty.is_board,
            "baud_rate": tty.baud_rate,
        }

    @export
    @in_thread
    def make_safe(self) -> None:
        """Force the supply off, take the stick from everybody, leave all pins floating.

        Raises:
            HilError: It could not be done.
        """
        with self.tenant.board() as board:
            board.make_safe()

    @exportstream
    @asynccontextmanager
    async def flash(self) -> AsyncIterator[ObjectStream[bytes]]:
        """Flash the stick, or read it; see `hil.jumpstarter.exporter.stick_service`."""
        theirs, ours = create_memory_stream()
        async with ours, create_task_group() as tasks:
            tasks.start_soon(StickService(ours, self.tenant, self.spool).serve)
            try:
                yield theirs
            finally:
                tasks.cancel_scope.cancel()

    @exportstream
    @asynccontextmanager
    async def session(self) -> AsyncIterator[ObjectStream[bytes]]:
        """Have the board for oneself, as long as this stream lasts; see `hil.jumpstarter.protocol.frames`."""
        theirs, ours = create_memory_stream()
        facts = await self.describe()
        exported = self.tenant.exported
        facts |= {"words": encode_wiring(exported.wiring), "place": exported.place.as_data()}
        async with ours, create_task_group() as tasks:
            tasks.start_soon(ExporterSession(ours, self.tenant, self.access_queue, facts).serve)
            try:
                yield theirs
            finally:
                tasks.cancel_scope.cancel()
