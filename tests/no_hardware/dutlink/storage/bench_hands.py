"""Random acts of people at a bench of two boards: plug, pull, exchange, move, and imitate a mux.

A hand that imitates a mux has its disk and its socket for itself: a second hand that mends the first one's
times, with this disk or with one of the same names there, would make a mux of the two.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hil import errors
from hil.sim.interfaces import NoTimer
from hil.sim.stick.usb_disk import usb_names_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from hil.sim.host.foreign_disk import ForeignDisk
    from hil.sim.interfaces import Timer
    from tests.no_hardware.dutlink.storage.mux_bench import MuxBench

__all__ = ["LIMIT_S", "Hands"]

LIMIT_S = 60.0
"""Virtual seconds in which hands move."""

_SERIALS = ("AB00", "AB01", "ZZ99")


class Hands:
    """Acts at random times, in the order of those times.

    Args:
        bench: The bench.
        rng: Which acts, and when.

    Attributes:
        done: The names of what was done.
        swapped_s: When stick cables were last swapped.
        before_swap: Called just before that.
    """

    def __init__(self, bench: MuxBench, rng: random.Random) -> None:
        self.done: list[str] = []
        self.swapped_s = float("-inf")
        self.before_swap: Callable[[], None] = lambda: None
        self._bench = bench
        self._rng = rng
        self._strangers = bench.strangers
        self._sockets = ["2-8", "2-9", "2-9.1"]
        acts = [self._plug, self._plug, self._yank, self._replug, self._stick, self._delay, self._rename]
        acts += [self._swap, self._move]
        for at in sorted(rng.uniform(0, LIMIT_S) for _ in range(rng.randint(0, 16))):
            bench.after(at, self._do, rng.choice(acts))
        if rng.random() < 0.3:
            Imitator(bench, rng, self.done)
            self._strangers = bench.strangers[1:]
            self._sockets.remove(Imitator.SOCKET)

    def _do(self, act: Any) -> None:
        self.done.append(act.__name__)
        act()

    def _plug(self) -> None:
        self._plug_in(self._rng.choice(self._strangers), self._rng.choice(self._sockets))

    def _plug_in(self, stranger: ForeignDisk, socket: str, serial: str = "") -> None:
        plug_in(self._bench, stranger, socket, serial or self._rng.choice(_SERIALS))

    def _yank(self) -> None:
        self._rng.choice(self._strangers).unplug()

    def _replug(self) -> None:
        """Pull a disk out, and put it in again a moment later, where it was: a loose plug."""
        stranger = self._rng.choice(self._strangers)
        socket, serial = stranger.socket or self._sockets[0], stranger.serial or "AB00"
        stranger.unplug()
        self._bench.after(self._rng.uniform(0.05, 8), self._plug_in, stranger, socket, serial)

    def _stick(self) -> None:
        stick = self._rng.choice(self._bench.sticks)
        for stranger in self._bench.strangers:
            if stranger._port is stick._port:  # a socket takes one plug
                if stranger not in self._strangers:
                    return
                stranger.unplug()
        stick.faults.missing = not stick.faults.missing
        stick.apply_faults()

    def _delay(self) -> None:
        self._rng.choice(self._bench.sticks).late_s = self._rng.choice([0.0, 0.5, 3.5])

    def _rename(self) -> None:
        """Another stick is put into the board, or one that calls itself as the other board's does."""
        stick = self._rng.choice(self._bench.sticks)
        listing: Any = stick._node.listing
        listing._names = usb_names_of(self._rng.choice(["AB00", "AB01", "CD77"]))

    def _swap(self) -> None:
        """Swap the cables between the muxes and the sticks' sockets; the sticks may go with the muxes."""
        self.before_swap()
        self.swapped_s = self._bench.clock.now()
        self._bench.swap(with_names=self._rng.random() < 0.5)

    def _move(self) -> None:
        """Plug a board in elsewhere, with its stick where it was."""
        self._bench.move(self._rng.randrange(2), f"1-{self._rng.randint(1, 9)}")


def plug_in(bench: MuxBench, stranger: ForeignDisk, socket: str, serial: str) -> None:
    """Plug a disk in, unless the socket is taken."""
    sticks = [stick for stick in bench.sticks if stick._port.busid == socket]
    if all(stick.faults.missing for stick in sticks):
        with suppress(errors.SimulatorError):
            stranger.plug(socket, serial)


class Imitator:
    """A hand that follows a mux without a stick, but for one of its times: late, uneven, or early.

    Exact times throughout would be a mux's; `docs/flash.md` says that such a hand is believed.

    Attributes:
        SOCKET: Where it plugs in, unless it takes the stick's own socket.
    """

    SOCKET = "2-8"

    def __init__(self, bench: MuxBench, rng: random.Random, done: list[str]) -> None:
        self._bench = bench
        self._rng = rng
        self._done = done
        self._stranger = bench.strangers[0]
        self._leaves: Timer = NoTimer()
        self._kind = rng.choice(["leaves late", "comes unevenly", "comes early"])
        self._board = rng.randrange(2)
        self._socket = rng.choice([self.SOCKET, bench.links[self._board].socket])
        self._after_s = rng.uniform(0, 11)
        bench.sticks[self._board].faults.missing = True
        bench.links[self._board].on_turn.append(self._turned)

    def _turned(self, position: str) -> None:
        rng, late = self._rng, self._kind == "leaves late"
        self._done.append(self._kind)
        if position == "host" and self._kind != "comes early":
            self._bench.after(self._after_s, self._come)
            if self._kind == "comes unevenly":
                self._after_s += rng.uniform(2.2, 4) if self._after_s < 6 else -rng.uniform(2.2, 4)
        elif position != "host":
            leaves_s = rng.uniform(1.4, 5) if late else rng.uniform(0, 0.9)
            self._leaves.cancel()  # or what it does late would be soon after the next turn
            self._leaves = self._bench.clock.call_later(leaves_s, self._stranger.unplug)
            if self._kind == "comes early":  # the mux turns to the host some 0.3 s after the disk is gone
                self._bench.after(leaves_s + rng.uniform(0.05, 0.3), self._come)

    def _come(self) -> None:
        plug_in(self._bench, self._stranger, self._socket, "AB00" if self._socket == self.SOCKET else "ZZ99")
