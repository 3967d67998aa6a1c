"""The simulated board, compared with a model that was written only from the firmware's source."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from hil.sim.board.meter import AMPS_PER_STEP, VOLTS_PER_STEP
from tests.no_hardware.sim.board.firmware_model import Firmware, MovingAverage, raw_amps, raw_volts, words_of
from tests.no_hardware.sim.board.test_meter import Quiet
from tests.support.board_bench import BoardBench

if TYPE_CHECKING:
    from collections.abc import Callable

WITHOUT_OFFSET = next(
    serial
    for serial in map("{:08x}".format, range(99))
    if not random.Random(serial).randint(-4, 4)  # noqa: S311
)
"""A board whose current sensor has no offset, which is the sensor's and not the firmware's."""

VERSION = "0.09 git-ref: 1a2b3c4"
PROGRAMS = [
    "",
    "p1",
    "p0",
    "p1,w3,p0",
    "aL,w1,aZ",
    "bh,rL,W2,Rz",
    "cH,dx,p1",
    "w",
    "a",
    "zz,p1",
    "P1,AH,p0,bl",
    "p2",
]
WORDS = [
    "on",
    "off",
    "force-on",
    "force-off",
    "rescue",
    "read",
    "dut",
    "host",
    "",
    "r l",
    "a h",
    "b z",
    "d x",
    "name",
]
COMMANDS = [
    "power",
    "storage",
    "meter",
    "monitor",
    "status",
    "version",
    "set",
    "console",
    "send",
    "reboot",
    "get-config",
]
VALUES = ["", "jetson", "a,b,c", "x" * 40, "t" * 300, "p1,w2", "aL,w1,aZ"]
KEYS = ["name", "tags", "usb_console", "power_on", "power_off", "power_rescue", "json", "storage"]


class Pair:
    """A simulated board and the model, given the same."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - no secret
        self.bench = BoardBench(serial=WITHOUT_OFFSET, rng=Quiet())
        self.model = Firmware(VERSION)
        self.to_dut = b""
        self.acts: list[Callable[[], tuple[Any, Any]]] = [
            *(self.out, self.out, self.ask, self.ask, self.store, self.console, self.console),
            *(self.shell, self.shell, self.shell_settings, self.dut_speaks, self.settle, self.power_cycle),
        ]

    def act(self) -> None:
        """Do something to both; each must say the same, and be in the same state."""
        act = self.rng.choice(self.acts)
        said, expected = act()
        self.settle()

        assert said == expected, act.__name__
        assert bytes(self.bench.dut.received) == self.to_dut, act.__name__
        assert self.state() == self.expected_state(), act.__name__

    def settle(self) -> tuple[None, None]:
        """Let the board work off what it was told, and what goes to the DUT leave."""
        while self.bench.state["busy_s"]:
            self.bench.clock.advance(self.bench.state["busy_s"])
        self.bench.clock.advance(2.0)
        return None, None

    def state(self) -> dict[str, Any]:
        keys = ("supply", "pins", "pins_set", "mux", "console_mode", "monitor", "meter", "settings", "flash")
        return {key: self.bench.state[key] for key in keys}

    def expected_state(self) -> dict[str, Any]:
        model = self.model
        return {
            "supply": model.supply,
            "pins": model.driven,
            "pins_set": model.stored,
            "mux": model.mux,
            "console_mode": model.console_mode,
            "monitor": model.monitor,
            "meter": model.meter,
            "settings": {key: value.decode() for key, value in model.settings.items()},
            "flash": {"blocks_used": len(model.blocks), "erases": model.erases},
        }

    def index(self) -> int:
        return self.rng.choice((3, 3, 3, 3, 3, 0x0103, 0, 2))

    def out(self) -> tuple[Any, Any]:
        index, request, value = (
            self.index(),
            self.rng.choice((0, 0, 1, 1, 2, 5, 5, 6, 9)),
            self.rng.randrange(7),
        )
        data = bytes([self.rng.randrange(4)]) if request == 5 and self.rng.random() < 0.9 else b""
        said = self.bench.control(0x41, request, value, index, data).status
        return said, self.model.control_out(index, request, value, data)

    def store(self) -> tuple[Any, Any]:
        value, data = self.rng.randrange(7), self.rng.choice([*VALUES[:-3], *PROGRAMS]).encode()
        said = self.bench.control(0x41, 3, value, 3, data).status
        return said, self.model.control_out(3, 3, value, data)

    def ask(self) -> tuple[Any, Any]:
        index, request, value = self.index(), self.rng.choice((3, 3, 4, 4, 0, 7)), self.rng.randrange(7)
        length = self.rng.choice((512, 512, 64, 5, 1))
        transfer = self.bench.control(0xC1, request, value, index, length)
        return (transfer.status, transfer.data), self.model.control_in(index, request, value, length)

    def console(self) -> tuple[Any, Any]:
        if not self.model.console_mode:
            return self.shell()
        data = self.rng.choice(
            (b"\x02" * 5, b"\x02\x02\x02", b"ls\r", b"\x02" * 7, b"echo \\n\r", b"\x02x\x02\x02")
        )
        self.bench.send(data)
        to_dut, said = self.model.typed(data)
        self.to_dut += to_dut
        return self.bench.drain().decode(), said

    def shell(self) -> tuple[Any, Any]:
        words = [self.rng.choice(COMMANDS), self.rng.choice(WORDS)]
        if words[0] == "send":
            words[1] = self.rng.choice(("", "ls\\n", "a\\tb", "\\\\", "\\e[A", "\\x", "wait\\wed"))
        return self.line(" ".join(filter(None, words)))

    def shell_settings(self) -> tuple[Any, Any]:
        words = ("set-config", self.rng.choice(KEYS), self.rng.choice(VALUES))
        return self.line(" ".join(filter(None, words)))

    def line(self, text: str) -> tuple[Any, Any]:
        if self.model.console_mode:
            return self.console()
        self.bench.send(text.encode() + b"\r")
        self.settle()
        to_dut, said = self.model.line(text)
        self.to_dut += to_dut
        return self.bench.drain().decode().removeprefix(text), said

    def dut_speaks(self) -> tuple[Any, Any]:
        data = self.rng.choice((b"login: ", b"ok\r\n", b"a\rb\r", b"\xff\x00"))
        self.bench.board.uart_from_dut(data)
        return self.bench.drain(), self.model.from_dut(data)

    def power_cycle(self) -> tuple[Any, Any]:
        if self.rng.random() < 0.8:
            return None, None
        self.bench.board.power_loss()
        self.bench.board.power_up()
        self.model.start()
        return None, None


@pytest.mark.parametrize("seed", range(20))
def test_board_behaves_as_the_model_of_its_firmware(seed: int) -> None:
    pair = Pair(seed)

    for _ in range(100):
        pair.act()


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_board_behaves_as_the_model_of_its_firmware_ten_thousand_times() -> None:
    for seed in range(100, 200):
        pair = Pair(seed)
        for _ in range(300):
            pair.act()


@pytest.mark.parametrize("seed", range(10))
def test_meter_reads_as_the_model_of_the_firmware(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    bench = BoardBench(serial=WITHOUT_OFFSET, rng=Quiet())
    volts, amps = MovingAverage(), MovingAverage()
    said, expected = [], []

    for _ in range(200):
        steps, volt_steps, samples = (
            rng.randrange(-5, 900),
            rng.choice((0, rng.randrange(4096))),
            rng.randrange(1, 180),
        )
        bench.board.draw_changed(steps * AMPS_PER_STEP, volt_steps * VOLTS_PER_STEP)
        for _ in range(samples):
            amps.feed(raw_amps(2048 - steps))
            volts.feed(raw_volts(volt_steps))
        bench.clock.advance(samples * 0.01)
        said.append(bench.read(4, 1))
        expected.append(words_of(volts.get(), amps.get())[0])

    assert said == expected
