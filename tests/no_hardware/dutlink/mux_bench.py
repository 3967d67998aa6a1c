"""Boards' muxes, sticks and strangers' disks on one host, in virtual time: a minute of it takes milliseconds.

Sticks, bus, `/dev` and `/sys` are the simulator's. In place of the board there is a link that turns the mux.
Several actors, each a thread, take turns: one runs until it waits, and then the one whose wait ends first.
"""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hil.dutlink import waiting
from hil.dutlink.access import Access
from hil.dutlink.storage import Storage
from hil.sim.bus import Bus
from hil.sim.clock import ManualClock
from hil.sim.nodes import DevFolder
from hil.sim.ports import Position
from hil.sim.stick import Stick
from hil.sim.stick_file import StickFile
from hil.sim.stick_usb import names_of
from hil.sim.stranger import Stranger
from hil.sim.sysfs import SysFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

__all__ = ["Memory", "MuxBench"]

MIB = 1 << 20
_LEAST_S = 0.15
"""Each look at the folders costs real time, so looks are rarer here."""

_POSITIONS = (Position.OFF, Position.HOST, Position.DUT)


class VirtualTime:
    """Time that passes when every actor waits: what `hil.dutlink.waiting` takes for the time module."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._wakes: dict[int, float] = {}
        self._turn = 0

    def monotonic(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        me = threading.get_ident()
        seconds = max(seconds, _LEAST_S)
        with self._changed:
            if not self._turn:  # the only actor
                self._clock.advance(seconds)
                return
            self._wakes[me] = self._clock.now() + seconds
            self._pass_on()
            self._changed.wait_for(lambda: self._turn == me)

    def play(self, *acts: Callable[[], None]) -> None:
        """Let acts run side by side until all of them have ended."""
        actors = [threading.Thread(target=self._actor, args=(act,)) for act in acts]
        with self._changed:
            for actor in actors:
                actor.start()
                assert actor.ident is not None
                self._wakes[actor.ident] = self._clock.now()
            self._pass_on()
        for actor in actors:
            actor.join()

    def _actor(self, act: Callable[[], None]) -> None:
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._turn == me)
        try:
            act()
        finally:
            with self._changed:
                self._pass_on()

    def _pass_on(self) -> None:
        self._turn = min(self._wakes, key=lambda one: self._wakes[one], default=0)
        if self._turn:
            due = self._wakes.pop(self._turn)
            if due > self._clock.now():
                self._clock.advance(due - self._clock.now())
        self._changed.notify_all()


class FakeLink:
    """A board of which only the mux works; it is plugged in at `1-N`."""

    def __init__(self, serial: str, place: str, stick: Stick) -> None:
        self.serial = serial
        self.place = place
        self.access = Access(serial)
        self.sent: list[str] = []
        self._stick = stick

    def send(self, _request: int, value: int) -> None:
        self.sent.append(_POSITIONS[value].value)
        self._stick.move(_POSITIONS[value])

    def answer(self) -> bytes:
        return b""


class Memory:
    """What boards of one bench learned, as the lock folder keeps it: other boards see it."""

    kept: dict[str, Any]
    is_shared = True

    def __init__(self, serial: str, kept: dict[str, Any]) -> None:
        self._serial = serial
        self.kept = kept

    def recall(self) -> Any:
        return self.kept.get(self._serial)

    def keep(self, learned: Any) -> None:
        self.kept[self._serial] = learned

    def forget(self) -> None:
        self.kept.pop(self._serial, None)

    def of_others(self) -> list[tuple[str, Any]]:
        return [(serial, learned) for serial, learned in self.kept.items() if serial != self._serial]


class MuxBench:
    """Some boards with their sticks, and strangers' disks that are not plugged in yet.

    Attributes:
        sticks: By board, the sticks at `2-1`, `2-2`.
        strangers: The disks of others.
        kept: What was learned; empty it for a new host.
    """

    def __init__(  # noqa: PLR0913 - what a bench is made of, by name
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        boards: int = 2,
        strangers: int = 2,
        size_bytes: int = 3 * MIB,
        seed: int = 1,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.clock = ManualClock()
        self.time = VirtualTime(self.clock)
        monkeypatch.setattr(
            waiting, "time", SimpleNamespace(monotonic=self.time.monotonic, sleep=self.time.sleep)
        )
        self.bus = Bus(self.clock)
        self.dev = DevFolder(folder / "dev")
        self.sys = SysFolder(folder / "sys")
        self.kept: dict[str, Any] = {}
        self.sticks = [self._stick(index, folder, size_bytes, seed) for index in range(boards)]
        self.links = [
            FakeLink(f"5a1c0e0{index}", f"1-{index + 1}", stick) for index, stick in enumerate(self.sticks)
        ]
        for link in self.links:
            self.sys.board(link.place, link.serial).show({})
        self.strangers = [
            Stranger(index, folder / f"stranger-{index}.img", size_bytes, self.bus, self.dev, self.sys)
            for index in range(strangers)
        ]

    def storage(self, index: int = 0, wired: Path | None = None, *, remembers: bool = True) -> Storage:
        """A board's storage as a process that has just opened it has it."""
        link: Any = self.links[index]
        memory = Memory(link.serial, self.kept) if remembers else None
        return Storage(link, self.dev.root, wired, self.sys.root, None, memory)

    def after(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        """Let something happen later, as a hand at a cable does."""
        self.clock.call_later(seconds, act, *arguments)

    def comings(self, index: int = 0) -> int:
        """How often a board's stick was given to the host."""
        return self.links[index].sent.count("host")

    def changed_bytes(self) -> int:
        """How much was written to strangers' disks."""
        return sum(stranger.state()["changed_bytes"] for stranger in self.strangers)

    def close(self) -> None:
        for stranger in self.strangers:
            stranger.close()
        for stick in self.sticks:
            stick.close()

    def _stick(self, index: int, folder: Path, size_bytes: int, seed: int) -> Stick:
        serial = f"AB{index:02}"
        port = self.bus.add_port(f"2-{index + 1}")
        node = self.dev.disk(index, serial)
        node.listing = self.sys.disk(index, node.path.name, port.busid, names_of(serial))
        return Stick(
            serial,
            StickFile(folder / f"stick-{index}.img", size_bytes),
            port=port,
            node=node,
            clock=self.clock,
            rng=random.Random(seed + index),  # noqa: S311 - delays, no secrets
            give_dut=lambda _store: None,
        )
