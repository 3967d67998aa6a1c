"""The simulated DUT with a fake board, a stick in memory, and a clock that tests advance."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from hil.sim.dut.dut import SimulatedDut
from hil.sim.dut.image import IMAGE_SIZE_BYTES, build_image
from hil.sim.dut.session import PASSWORD, USER
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.interfaces import ControlPin, PinLevel

TICK_S = 0.005


class MemoryStick:
    """A stick in memory; `broken` makes it err."""

    def __init__(self, content: bytes = bytes(IMAGE_SIZE_BYTES)) -> None:
        self.content = bytearray(content)
        self.size_bytes = len(content)
        self.broken = False

    def read(self, offset: int, length: int) -> bytes:
        if self.broken:
            raise OSError(errno.EIO, "I/O error")
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self.content[offset : offset + len(data)] = data


def bootable_stick(tmp_path: Path, name: str = "demo-1") -> MemoryStick:
    path = tmp_path / f"{name}.img"
    build_image(path, name)
    return MemoryStick(path.read_bytes())


class DutBench:
    """The fake board: remembers what the DUT prints and draws."""

    def __init__(self, stick: MemoryStick | None = None) -> None:
        self.clock = ManualClock()
        self.printed = ""
        self.draws: list[tuple[float, float]] = []
        self.dut = SimulatedDut(self.clock)
        self.dut.connect(self)
        self.dut.stick(stick)

    def uart_from_dut(self, data: bytes) -> None:
        self.printed += data.decode("latin-1")

    def draw_changed(self, amps: float, volts: float) -> None:
        self.draws.append((amps, volts))

    @property
    def phase(self) -> str:
        return str(self.dut.state()["phase"])

    def type(self, text: str) -> None:
        self.dut.uart_to_dut(text.encode())

    def pin(self, pin: ControlPin, level: PinLevel) -> None:
        self.dut.pin(pin, level)

    def wait_for(self, text: str, within_s: float = 5.0) -> str:
        """Advance until `text` is printed; return and forget all up to its end."""
        deadline = self.clock.now() + within_s
        while text not in self.printed:
            assert self.clock.now() < deadline, f"no {text!r} in {self.printed!r}"
            self.clock.advance(TICK_S)
        before, found, self.printed = self.printed.partition(text)
        return before + found

    def boot(self) -> str:
        self.dut.supply(on=True)
        return self.wait_for("login: ")

    def log_in(self) -> None:
        self.boot()
        self.type(f"{USER}\r")
        self.wait_for("Password: ")
        self.type(f"{PASSWORD}\r")
        self.wait_for("# ")

    def run(self, command: str, within_s: float = 5.0) -> str:
        """Type a command at the prompt; return what it printed."""
        self.type(f"{command}\r")
        self.wait_for("\r\n")
        return self.wait_for("# ", within_s).removesuffix("# ")
