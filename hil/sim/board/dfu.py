"""The DFU run-time interface, which starts the boot loader (usbd-dfu-rt: class.rs; firmware: dfu.rs)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.sim.board.endpoint_zero import Handshake, Reply, RequestKind, SetupPacket
from hil.sim.interfaces import Clock, NoTimer, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.board.ticker import Ticker

__all__ = ["DfuRunTime"]

_INTERFACE: Final = 2
_DETACH: Final = 0
_GET_STATUS: Final = 3
_TICK_MS: Final = 10


class DfuRunTime:
    """A `UsbClass` that ends the firmware on request.

    Args:
        clock: Simulated time.
        ticker: The 10 ms interrupts, which count the time.
        detach: Called once, when the requested time has passed.
    """

    def __init__(self, clock: Clock, ticker: Ticker, detach: Callable[[], None]) -> None:
        self._clock = clock
        self._ticker = ticker
        self._detach = detach
        self._timer: Timer = NoTimer()
        self._due_count: int | None = None
        self._asked = False

    def control_in(self, setup: SetupPacket) -> Reply:
        """Answer GETSTATUS: no error, and the state idle (0) or about to detach (1)."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request == _GET_STATUS:
            return bytes((0, 0, 0, 0, self._asked, 0))
        return Handshake.STALL

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:  # noqa: ARG002  # part of the protocol; DETACH has no data
        """Accept DETACH. `wValue` is the time to wait in milliseconds, rounded up to at least one tick."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request != _DETACH:
            return Handshake.STALL
        self._asked = True
        self._due_count = self._ticker.count + max(1, -(-setup.value // _TICK_MS))
        self.detach_if_due()
        return b""

    def reset(self) -> None:
        """Do nothing on a bus reset: the firmware declares that it detaches by itself."""

    def detach_if_due(self) -> None:
        """Detach if the time has come, else set a timer.

        The owner calls this again when ticks count again after a pause.
        """
        self._timer.cancel()
        if self._due_count is None or self._ticker.frozen:
            return
        if self._ticker.count >= self._due_count:
            self._due_count = None
            self._detach()
        else:
            self._timer = self._clock.call_later(
                self._ticker.seconds_until(self._due_count), self.detach_if_due
            )

    def stop(self) -> None:
        """Drop the request and its timer, as without power."""
        self._timer.cancel()
        self._due_count = None
