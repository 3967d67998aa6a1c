"""Drivers for stock Jumpstarter clients: the DUT's supply with its meter, its console, and the stick."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import current_time, open_file, sleep, to_thread
from jumpstarter.driver import export, exportstream
from jumpstarter_driver_opendal.driver import StorageMuxFlasherInterface
from jumpstarter_driver_power.driver import PowerInterface, PowerReading

from hil.dutlink.console.tty import find_tty, uart_of
from hil.errors import ConsoleBusyError, FlashError, HilError
from hil.jumpstarter.exporter.base_driver import BoardDriver, SupplyDriver
from hil.jumpstarter.exporter.meter import SharedMeter
from hil.jumpstarter.exporter.tty_stream import TtyStream
from hil.jumpstarter.protocol.threads import in_thread, run_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from hil.dutlink.console.tty import Tty
    from hil.dutlink.power.reading import PowerReading as BoardReading

__all__ = ["ConsoleDriver", "PowerDriver", "StorageDriver"]

_TRY_READ_S = 0.02


@dataclass(kw_only=True)
class PowerDriver(PowerInterface, SupplyDriver):
    """The supply; `on`, `off` and `rescue` return when the board's sequence is over.

    Every call goes to the board, even if it repeats the last one: the board may have been reset in between.
    """

    _meter: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the meter that all clients share."""
        super().__post_init__()
        self._meter = SharedMeter(self._read_meter, self._try_read_meter)

    @export
    @in_thread
    def on(self) -> None:
        """Run the board's power_on sequence."""
        with self.tenant.board() as board:
            board.power.on()

    @export
    @in_thread
    def off(self) -> None:
        """Run the board's power_off sequence."""
        with self.tenant.board() as board:
            board.power.off()

    @export
    @in_thread
    def rescue(self) -> None:
        """Run the board's power_rescue sequence."""
        with self.tenant.board() as board:
            board.power.rescue()

    @export
    async def read(self) -> AsyncGenerator[PowerReading, None]:
        """Yield a reading of the meter now and whenever it changes; for ever."""
        reading = await self._meter.read()
        while True:
            yield PowerReading(voltage=reading.volts, current=reading.amps)
            reading = await self._meter.wait_for_change(reading)

    def _read_meter(self) -> BoardReading:
        with self.tenant.board() as board:
            reading: BoardReading = board.power.read()
        return reading

    def _try_read_meter(self) -> BoardReading | None:
        with self.tenant.try_board() as board:
            reading: BoardReading | None = None if board is None else board.power.try_read(_TRY_READ_S)
        return reading


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


_CHUNK_BYTES = 1 << 20


@dataclass(kw_only=True)
class StorageDriver(StorageMuxFlasherInterface, BoardDriver):
    """The stick and its mux. The DUT gets the stick only after the last image was verified.

    Attributes:
        spool: Folder for received images; empty: the system's folder for temporary files.
    """

    spool: str = ""
    _failed: str = field(default="", init=False)

    @export
    @in_thread
    def host(self) -> None:
        """Attach the stick to the exporter's host."""
        with self.tenant.board() as board:
            board.storage.host()

    @export
    @in_thread
    def off(self) -> None:
        """Detach the stick."""
        with self.tenant.board() as board:
            board.storage.off()

    @export
    @in_thread
    def dut(self) -> None:
        """Attach the stick to the DUT.

        Raises:
            FlashError: The last write failed. Stock clients call this after every write, even a failed one.
        """
        if self._failed:
            raise FlashError(
                "the stick is not given to the DUT",
                why=f"the last image is not on it: {self._failed}",
                remedy="write it again",
            )
        with self.tenant.board() as board:
            board.storage.dut()

    @export
    async def write(self, src: str) -> None:
        """Receive an image, write it to the stick and verify it."""
        self._failed = "it was not received completely"
        with tempfile.NamedTemporaryFile(prefix="hil-image-", dir=self.spool or None) as spool:
            async with self.resource(src) as stream, await open_file(spool.name, "wb") as file:
                async for data in stream:
                    await file.write(data)
            await to_thread.run_sync(self._flash, Path(spool.name))

    def _flash(self, image: Path) -> None:
        try:
            with self.tenant.board() as board:
                board.storage.flash(image)
        except HilError as error:
            self._failed = error.what
            raise
        self._failed = ""

    @export
    async def read(self, dst: str) -> None:
        """Send all bytes of the stick to the client."""
        node = await run_in_thread(self._node)
        async with self.resource(dst) as stream, await open_file(node, "rb", buffering=0) as file:
            while data := await file.read(_CHUNK_BYTES):
                await stream.send(data)

    def _node(self) -> Path:
        with self.tenant.board() as board:
            board.storage.host()
            node: Any = board.storage.wait_for_node()
        return Path(node)
