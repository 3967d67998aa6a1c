"""Boards' muxes, sticks and other disks on one host, in virtual time: a minute takes milliseconds.

Sticks, bus, `/dev` and `/sys` are the simulator's. In place of the board there is a link that turns the mux.
Several actors, each a thread, take turns: one runs until it waits, and then the one whose wait ends first.
No wait, clock or timer of the search is real, so a bench does the same however busy the machine is.
"""

from __future__ import annotations

import os
import random
import threading
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hil.dutlink import timing
from hil.dutlink.host import SLOWEST_STICK_S
from hil.dutlink.storage import host_lock, learned_sticks, stick_finder, stick_path, stick_proof, usb_sockets
from hil.dutlink.storage.stick_memory import LearnedSocket
from hil.dutlink.storage.storage import Storage
from hil.dutlink.usb.access import Access
from hil.flash.disk import users
from hil.sim.host.bus import UsbBus
from hil.sim.host.dev_nodes import DevFolder
from hil.sim.host.foreign_disk import ForeignDisk
from hil.sim.host.sysfs import SysDisk, SysFolder
from hil.sim.interfaces import MuxPosition, NoTimer
from hil.sim.stick.file import StickFile
from hil.sim.stick.mux import Stick
from hil.sim.stick.usb_disk import usb_names_of
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from hil.sim.interfaces import Timer

__all__ = ["Memory", "MuxBench"]

MIB = 1 << 20
_LEAST_S = 0.15
"""Each look at the folders costs real time, so looks are rarer here."""

_POSITIONS = (MuxPosition.OFF, MuxPosition.HOST, MuxPosition.DUT)


class VirtualTime:
    """Time that passes when every actor waits: what `hil.dutlink.timing` takes for the time module."""

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
        try:
            if self._turn:
                due = self._wakes.pop(self._turn)
                if due > self._clock.now():
                    self._clock.advance(due - self._clock.now())
        finally:  # a hand that fails must not leave the other actors waiting
            self._changed.notify_all()


class VirtualTimer:
    """A `threading.Timer` of virtual time."""

    def __init__(
        self, clock: ManualClock, limit_s: float, function: Callable[..., None], args: tuple[object, ...]
    ) -> None:
        self.daemon = False
        self._start = partial(clock.call_later, limit_s, function, *args)
        self._timer: Timer = NoTimer()

    def start(self) -> None:
        self._timer = self._start()

    def cancel(self) -> None:
        self._timer.cancel()


class FakeLink:
    """A board of which only the mux works; it is plugged in at `1-N`.

    Attributes:
        on_turn: Called with the position each time that the mux turns.
    """

    def __init__(self, serial: str, place: str, stick: Stick) -> None:
        self.serial = serial
        self.usb_port = place
        self.access = Access(serial)
        self.sent: list[str] = []
        self.on_turn: list[Callable[[str], None]] = []
        self.stick = stick

    @property
    def position(self) -> MuxPosition:
        """Where the mux is turned to."""
        return MuxPosition(self.sent[-1]) if self.sent else MuxPosition.OFF

    @property
    def socket(self) -> str:
        """Where its mux is cabled to."""
        return self.stick._port.busid

    def control_out(self, _request: int, value: int) -> None:
        self.sent.append(_POSITIONS[value].value)
        self.stick.move(_POSITIONS[value])
        for told in self.on_turn:
            told(self.sent[-1])

    def wait_ready(self) -> bytes:
        return b""


class LookedUp:
    """Spares looks at a `/sys` that has not changed: thousands in a minute of virtual time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._found: dict[tuple[object, Path], Any] = {}
        for change in ("plug", "show", "hide"):
            monkeypatch.setattr(SysDisk, change, self._changing(getattr(SysDisk, change)))
        for look in (usb_sockets.disks_by_socket, usb_sockets.devices_by_socket):
            for module in (stick_proof, stick_finder, stick_path, learned_sticks):
                monkeypatch.setattr(module, look.__name__, self._sparing(look), raising=False)

    def _changing(self, change: Callable[..., None]) -> Callable[..., None]:
        def changed(disk: SysDisk, *arguments: object) -> None:
            change(disk, *arguments)
            self._found.clear()

        return changed

    def _sparing(self, look: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
        def found(sys: Path) -> dict[str, Any]:
            key = (look, sys)
            if key not in self._found:
                self._found[key] = look(sys)
            return dict(self._found[key])

        return found


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

    def mark_unverified(self, image: str) -> None:
        self.kept[f"{self._serial} doubted"] = image

    def unverified_image(self) -> str:
        return str(self.kept.get(f"{self._serial} doubted", ""))

    def of_others(self) -> list[tuple[str, Any]]:
        return [
            (serial, learned)
            for serial, learned in self.kept.items()
            if isinstance(learned, LearnedSocket) and serial != self._serial
        ]


def only_this_process(proc: Path) -> Path:
    """Make a `/proc` of one process, because a look at the machine's takes longer than a whole test."""
    proc.mkdir()
    (proc / str(os.getpid())).symlink_to("/proc/self")
    return proc


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
            timing, "time", SimpleNamespace(monotonic=self.time.monotonic, sleep=self.time.sleep)
        )
        timer = partial(VirtualTimer, self.clock)
        monkeypatch.setattr(host_lock, "threading", SimpleNamespace(Timer=timer, RLock=threading.RLock))
        LookedUp(monkeypatch)
        monkeypatch.setattr(users, "_PROC", only_this_process(folder / "proc"))
        self.bus = UsbBus(self.clock)
        self.dev = DevFolder(folder / "dev")
        self.sys = SysFolder(folder / "sys")
        self.kept: dict[str, Any] = {}
        self.sticks = [self._stick(index, folder, size_bytes, seed) for index in range(boards)]
        self.links = [
            FakeLink(f"5a1c0e0{index}", f"1-{index + 1}", stick) for index, stick in enumerate(self.sticks)
        ]
        self._boards = [self.sys.board(link.usb_port, link.serial) for link in self.links]
        for board in self._boards:
            board.show({})
        self.strangers = [
            ForeignDisk(index, folder / f"stranger-{index}.img", size_bytes, self.bus, self.dev, self.sys)
            for index in range(strangers)
        ]

    def storage(
        self,
        index: int = 0,
        wired: Path | None = None,
        *,
        remembers: bool = True,
        slowest_s: float = SLOWEST_STICK_S,
    ) -> Storage:
        """A board's storage as a process that has just opened it has it."""
        link: Any = self.links[index]
        memory = Memory(link.serial, self.kept) if remembers else None
        return Storage(link, self.dev.root, wired, self.sys.root, memory, slowest_s)

    def swap(self, *, with_names: bool = False) -> None:
        """Swap the cables from the muxes of two boards to the host's sockets.

        Args:
            with_names: The sticks stay in their boards, so each comes at the other socket.
        """
        one, other = self.links[:2]
        for link in (one, other):
            link.stick.move(MuxPosition.OFF)
        one.stick, other.stick = other.stick, one.stick
        if with_names:
            listings: list[Any] = [link.stick._node.listing for link in (one, other)]
            listings[0]._names, listings[1]._names = listings[1]._names, listings[0]._names
        for link in (one, other):
            link.stick.move(link.position)

    def move(self, index: int, place: str) -> None:
        """Plug a board in elsewhere, unless another one is there."""
        if place not in {link.usb_port for link in self.links}:
            self._boards[index].hide()
            self.links[index].usb_port = place
            self._boards[index] = self.sys.board(place, self.links[index].serial)
            self._boards[index].show({})

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
        node = self.dev.disk(index, serial, port.busid)
        node.listing = self.sys.disk(index, node.path.name, port.busid, usb_names_of(serial))
        return Stick(
            serial,
            StickFile(folder / f"stick-{index}.img", size_bytes),
            port=port,
            node=node,
            clock=self.clock,
            rng=random.Random(seed + index),  # noqa: S311 - delays, no secrets
            give_dut=lambda _store: None,
        )
