"""Drivers for clients that have hil: the settings, the control pins, and the whole board."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from anyio import create_task_group
from jumpstarter.driver import export, exportstream
from jumpstarter.streams.common import create_memory_stream

from hil.errors import HilError
from hil.jumpstarter.exporter.base_driver import BoardDriver, SupplyDriver
from hil.jumpstarter.exporter.session import ExporterSession
from hil.jumpstarter.exporter.stick_stream import StickStream
from hil.jumpstarter.protocol.board_description import (
    BOARD_CLIENT,
    PINS_CLIENT,
    SETTINGS_CLIENT,
    encode_wiring,
)
from hil.jumpstarter.protocol.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import ObjectStream

__all__ = ["PinsDriver", "SettingsDriver", "WholeBoardDriver"]


@dataclass(kw_only=True)
class SettingsDriver(BoardDriver):
    """The six settings that the board stores."""

    @classmethod
    def client(cls) -> str:
        """Return the path of the client class."""
        return SETTINGS_CLIENT

    @export
    @in_thread
    def read(self) -> dict[str, str]:
        """Return all settings."""
        with self.tenant.board() as board:
            return asdict(board.settings.read())

    @export
    @in_thread
    def write(self, changes: dict[str, str]) -> dict[str, str]:
        """Store the settings that differ; return all settings."""
        with self.tenant.board() as board:
            return asdict(board.settings.write(**changes))


@dataclass(kw_only=True)
class PinsDriver(BoardDriver):
    """The pins CTL_A to CTL_D and RESET."""

    @classmethod
    def client(cls) -> str:
        """Return the path of the client class."""
        return PINS_CLIENT

    @export
    @in_thread
    def set(self, pin: str, level: str) -> None:
        """Drive a pin `low` or `high`, or leave it `floating`."""
        with self.tenant.board() as board:
            board.pins.set(pin, level)

    @export
    @in_thread
    def pulse_reset(self, duration_s: float) -> None:
        """Drive the reset pin low for `duration_s` seconds."""
        with self.tenant.board() as board:
            board.pins.pulse_reset(duration_s)

    @export
    @in_thread
    def float_all(self) -> None:
        """Leave every pin floating."""
        with self.tenant.board() as board:
            board.pins.float_all()


@dataclass(kw_only=True)
class WholeBoardDriver(SupplyDriver):
    """The whole board; child `board` of the exporter's tree.

    Attributes:
        console: Driver of the console, which knows its tty.
        spool: Folder for received images; empty: the system's folder for temporary files.
    """

    console: Any  # ConsoleDriver
    spool: str = ""

    @classmethod
    def client(cls) -> str:
        """Return the path of the client class."""
        return BOARD_CLIENT

    @export
    @in_thread
    def describe(self) -> dict[str, Any]:
        """Return serial number, firmware, host, name, tags and console of the board."""
        with self.tenant.board() as board:
            facts = {"serial": board.serial, "firmware": str(board.firmware), "host": socket.gethostname()}
            info = self.tenant.exported.info_of(board)
        try:
            tty = self.console.console()
        except HilError:  # opening the console raises the error again
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
        """Force the supply off, detach the stick, float all pins.

        Raises:
            HilError: The board did not do it.
        """
        with self.tenant.board() as board:
            board.make_safe()

    @exportstream
    @asynccontextmanager
    async def flash(self) -> AsyncIterator[ObjectStream[bytes]]:
        """Open a stream to flash or read the stick; see `hil.jumpstarter.exporter.stick_stream`."""
        theirs, ours = create_memory_stream()
        async with ours, create_task_group() as tasks:
            tasks.start_soon(StickStream(ours, self.tenant, self.spool).serve)
            try:
                yield theirs
            finally:
                tasks.cancel_scope.cancel()

    @exportstream
    @asynccontextmanager
    async def session(self) -> AsyncIterator[ObjectStream[bytes]]:
        """Open a stream that reserves the board until it ends; see `hil.jumpstarter.protocol.frames`."""
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
