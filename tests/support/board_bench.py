"""A simulated board without a bus: with a clock that tests advance, and a DUT that records events."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hil.sim.board.board import SimulatedBoard
from hil.sim.board.settings_flash import SettingsFlash
from hil.sim.interfaces import BlockStore, BoardSide, ControlPin, MuxPosition, PinLevel, Urb
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

STALL = -32
OUT, IN = 0x41, 0xC1
REFRESH, POWER, STORAGE, CONFIG, READ, SET_PIN = range(6)
POWER_OFF, POWER_ON, FORCE_OFF, FORCE_ON, RESCUE = range(5)


@dataclass
class NotingDut:
    """A DUT that remembers what the board did to it, and when."""

    clock: ManualClock
    board: BoardSide | None = None
    supplies: list[bool] = field(default_factory=list)
    pins: list[tuple[ControlPin, PinLevel]] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)

    def connect(self, board: BoardSide) -> None:
        self.board = board

    def supply(self, on: bool) -> None:
        self.supplies.append(on)

    def pin(self, pin: ControlPin, level: PinLevel) -> None:
        self.pins.append((pin, level))

    def uart_to_dut(self, data: bytes) -> None:
        self.received += data
        self.arrivals.append((self.clock.now(), data))

    def stick(self, store: BlockStore | None) -> None:
        pass

    def fault(self, name: str, arguments: dict[str, Any]) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}


@dataclass
class Transfer:
    """One transfer, and how it ended."""

    status: int | None = None
    data: bytes = b""
    ends: int = 0
    ended_at_s: float | None = None
    urb: Urb | None = None


class BoardBench:
    """A board with power, a DUT and a host that sends transfers."""

    def __init__(self, store: Path | bytearray | None = None, serial: str = "5a1c0e01", **board: Any) -> None:
        self.clock = ManualClock()
        self.dut = NotingDut(self.clock)
        self.flash = SettingsFlash(bytearray() if store is None else store)
        self.positions: list[MuxPosition] = []
        self.board = SimulatedBoard(serial, self.clock, self.flash, self.dut, self.positions.append, **board)

    def submit(
        self, endpoint: int, *, is_in: bool, setup: bytes = bytes(8), data: bytes = b"", length: int = 0
    ) -> Transfer:
        transfer = Transfer()

        def complete(status: int, answer: bytes) -> None:
            transfer.status, transfer.data, transfer.ended_at_s = status, answer, self.clock.now()
            transfer.ends += 1

        transfer.urb = Urb(endpoint, is_in, setup, data, length, "test", complete)
        self.board.submit(transfer.urb)
        return transfer

    def control(
        self, kind: int, request: int, value: int = 0, index: int = 3, data: bytes | int = b""
    ) -> Transfer:
        """Send a control transfer; `data` is a length where the direction is in."""
        length = data if isinstance(data, int) else len(data)
        setup = struct.pack("<BBHHH", kind, request, value, index, length)
        body = b"" if isinstance(data, int) else data
        return self.submit(0, is_in=kind >= 0x80, setup=setup, data=body, length=length)

    def read(self, request: int, value: int, length: int = 512) -> bytes:
        """Ask for data after a refresh."""
        self.control(OUT, REFRESH)
        return self.control(IN, request, value, data=length).data

    def set_config(self, key: int, value: bytes) -> Transfer:
        return self.control(OUT, CONFIG, key, data=value)

    def send(self, data: bytes) -> Transfer:
        """Send console bytes."""
        return self.submit(1, is_in=False, data=data, length=len(data))

    def receive(self, length: int = 64) -> Transfer:
        """Wait for console bytes."""
        return self.submit(2, is_in=True, length=length)

    def drain(self) -> bytes:
        """Return all console bytes that the board has for the host now."""
        output = bytearray()
        while True:
            transfer = self.receive()
            if transfer.status is None:
                assert transfer.urb is not None
                self.board.cancel(transfer.urb)
                return bytes(output)
            output += transfer.data

    def enter_shell(self) -> None:
        """Leave console mode and forget what was printed and sent for that."""
        self.send(b"\x02" * 5)
        self.drain()
        self.clock.advance(0.1)
        self.dut.received.clear()

    def shell(self, line: str) -> str:
        """Type a line into the shell; return what follows its echo."""
        self.send(line.encode() + b"\r")
        return self.drain().decode().removeprefix(line)

    @property
    def state(self) -> dict[str, Any]:
        return self.board.state()
