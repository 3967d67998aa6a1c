"""Driver of the DUT's console for stock Jumpstarter clients: `j console start-console`, pexpect, pipes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import current_time, sleep
from jumpstarter.driver import exportstream

from hil.dutlink.console.tty import find_tty, uart_of
from hil.errors import ConsoleBusyError
from hil.jumpstarter.exporter.base_driver import BoardDriver
from hil.jumpstarter.exporter.tty_stream import TtyStream
from hil.jumpstarter.protocol.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hil.dutlink.console.tty import Tty

__all__ = ["ConsoleDriver"]

_RETRY_S = 2.0
_RETRY_INTERVAL_S = 0.02


@dataclass(kw_only=True)
class ConsoleDriver(BoardDriver):
    """The tty that the lab file or the board's `usb_console` setting names, else the board's own port."""

    @classmethod
    def client(cls) -> str:
        """Return the path of the client class, which is Jumpstarter's own."""
        return "jumpstarter_driver_pyserial.client.PySerialClient"

    @exportstream
    @asynccontextmanager
    async def connect(self) -> AsyncIterator[TtyStream]:
        """Open the console."""
        async with await self._open(await run_in_thread(self.console)) as stream:
            yield stream

    @exportstream
    @asynccontextmanager
    async def connect_board(self) -> AsyncIterator[TtyStream]:
        """Open the board's own port, which has the board's shell."""
        async with await self._open(await run_in_thread(self.uart)) as stream:
            yield stream

    async def _open(self, tty: Tty) -> TtyStream:
        """Open a tty; retry while it is busy, since a client's close takes a moment to arrive here."""
        ends = current_time() + _RETRY_S
        while True:
            try:
                return TtyStream(tty, self.tenant.serial)
            except ConsoleBusyError:
                if current_time() >= ends:
                    raise
                await sleep(_RETRY_INTERVAL_S)

    def console(self) -> Tty:
        """Return the tty of the console."""
        exported = self.tenant.exported
        usb_console = ""
        if exported.wiring.console is None:
            with self.tenant.board() as board:
                usb_console = board.settings.read().usb_console
        return find_tty(exported.host.dev, exported.serial, usb_console, exported.wiring)

    def uart(self) -> Tty:
        """Return the tty of the board's own port."""
        self.tenant.ensure_attached()
        return uart_of(self.tenant.exported.host.dev, self.tenant.serial)
