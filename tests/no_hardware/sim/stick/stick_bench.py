"""A stick with its port, its node, its bytes, and a clock that tests advance."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hil.sim.host.bus import UsbBus
from hil.sim.host.dev_nodes import DevFolder
from hil.sim.stick.file import StickFile
from hil.sim.stick.mux import Stick
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.interfaces import BlockStore, MuxPosition

SIZE_BYTES = 8 << 20


class StickBench:
    """A stick with its port and its node; time is advanced by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.bus = UsbBus(self.clock)
        self.port = self.bus.add_port("2-1")
        self.node = DevFolder(folder / "dev").disk(0, "AB12", "2-1")
        self.dut: BlockStore | None = None
        self.file = StickFile(folder / "stick.img", SIZE_BYTES)
        self.stick = Stick(
            "AB12",
            self.file,
            port=self.port,
            node=self.node,
            clock=self.clock,
            rng=random.Random(1),  # noqa: S311 - delays, no secrets
            give_dut=self._give_dut,
        )

    def _give_dut(self, store: BlockStore | None) -> None:
        self.dut = store

    def move(self, position: MuxPosition, wait_s: float = 0.0) -> None:
        self.stick.move(position)
        self.clock.advance(wait_s)
