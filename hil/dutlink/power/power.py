"""The DUT's supply and its meter."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from hil.dutlink.noun import Noun
from hil.dutlink.power.reading import EVERY_S, OFF_AMPS, SETTLE_S, PowerReading
from hil.dutlink.power.sequence_duration import leaves_supply_off, stored_duration_s, unheard_s
from hil.dutlink.timing import sleep, until
from hil.dutlink.usb.protocol import ConfigKey, PowerAction, ReadKey, Request
from hil.errors import BoardFaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.power.sampling import PowerSampler
    from hil.dutlink.usb.control_link import ControlLink

__all__ = ["OFF_AMPS", "Power", "PowerEvent"]

_READ_EVERY_S = 0.1

_RISE_AMPS = 0.02
"""A rise of the mean that only a DUT with power makes, in amperes: more than the sensor's noise."""


class PowerEvent(NamedTuple):
    """A power request that is about to be sent, or whose sequence has ended.

    Attributes:
        action: The request.
        blind_s: Seconds for which its sequence lets no console byte through.
        is_done: Whether the sequence has ended.
    """

    action: PowerAction
    blind_s: float = 0.0
    is_done: bool = False

    @property
    def starts_dut(self) -> bool:
        """Whether the DUT may start now."""
        return not self.is_done and self.action in {PowerAction.ON, PowerAction.FORCE_ON, PowerAction.RESCUE}

    def __str__(self) -> str:
        name = f"power {self.action.name.lower().replace('_', '-')}"
        if self.is_done:
            return f"{name} is done"
        if self.blind_s:
            return f"{name}; blind for {self.blind_s:.1f} s: its sequence lets no console byte through"
        return name


class Power(Noun):
    """The DUT's supply and its meter.

    `on`, `off` and `rescue` run the board's power sequences; a sequence without `p1` does not switch the
    supply on. `force_on` and `force_off` ignore the sequences. A request is sent even if it repeats the last
    one, since the board may have been reset in between.

    Every method raises `BoardFaultError` or `BoardLostError` if the board does not take the request.

    Args:
        link: The control link to the board.
        listener: Called with an event at each power action.
    """

    def __init__(self, link: ControlLink, listener: Callable[[PowerEvent], object] = lambda _: None) -> None:
        self._link = link
        self._report = listener
        self._cut = False
        self._is_off = False
        self._latest = ""
        self._unheard = ""
        self._changed_s = time.monotonic()  # another process may have switched the supply just now

    def __repr__(self) -> str:
        return f"<Power of board {self._link.serial}, {self.words}>"

    @property
    def words(self) -> str:
        """The state that this object last requested, such as `on`."""
        return self._latest or "power as it was found"

    @property
    def cut(self) -> bool:
        """Whether the last power request of this object was `force_off`, and the board accepted it."""
        return self._cut

    @property
    def is_off(self) -> bool:
        """Whether the last power request of this object switched the supply off; the board is not asked."""
        return self._is_off

    @property
    def unheard(self) -> str:
        """A sentence if the DUT's first output is lost since this object last switched it on, else empty."""
        return self._unheard

    def forget(self) -> None:
        """Forget the last request, because the board's shell may have switched the supply."""
        self._cut = self._is_off = False
        self._latest = self._unheard = ""
        self._changed_s = time.monotonic()

    def unchanged_since(self, when_s: float) -> None:
        """Take it that no process has switched the supply since `when_s`, by the monotonic clock."""
        self._changed_s = min(self._changed_s, when_s)

    @property
    def settles_in_s(self) -> float:
        """Seconds until a reading shows nothing from before the last switch of the supply, or 0."""
        return max(0.0, self._changed_s + SETTLE_S - time.monotonic())

    def on(self, wait: bool = True) -> None:
        """Run the `power_on` sequence, or switch the supply on if there is none.

        Args:
            wait: Return when the sequence has ended and the board answers again. If False, return at once;
                the next request of this process then waits as long as the sequence may take.

        Raises:
            BoardTimeoutError: The board did not answer within the sequence's duration, 25 % of it, and 2 s.
        """
        self._run(PowerAction.ON, ConfigKey.POWER_ON, wait)

    def off(self, wait: bool = True) -> None:
        """Run the `power_off` sequence, or switch the supply off if there is none; `wait` as in `on`."""
        self._run(PowerAction.OFF, ConfigKey.POWER_OFF, wait)

    def rescue(self, wait: bool = True) -> None:
        """Run the `power_rescue` sequence, or switch the supply on if there is none; `wait` as in `on`."""
        self._run(PowerAction.RESCUE, ConfigKey.POWER_RESCUE, wait)

    def force_on(self) -> None:
        """Switch the supply on at once."""
        self._cut = self._is_off = False
        self._unheard = ""
        self._report(PowerEvent(PowerAction.FORCE_ON))
        self._link.control_out(Request.POWER, PowerAction.FORCE_ON)
        self._changed_s = time.monotonic()
        self._latest = "on"

    def force_off(self) -> None:
        """Switch the supply off at once; the board then leaves pins floating that were high."""
        self._cut = self._is_off = False
        self._report(PowerEvent(PowerAction.FORCE_OFF))
        self._link.control_out(Request.POWER, PowerAction.FORCE_OFF)
        self._changed_s = time.monotonic()
        self._cut = self._is_off = True
        self._latest = "off"

    def cycle(self, wait_s: float = 2.0) -> None:
        """Switch off, wait that many seconds, and switch on, with the board's sequences."""
        self.off()
        sleep(wait_s)
        self.on()

    def read(self) -> PowerReading:
        """Return a reading, from a new snapshot of the board.

        Raises:
            BoardReplyError: The reply is not a reading.
        """
        (reply,) = self._link.snapshot_read((Request.READ, ReadKey.POWER))
        return PowerReading.parse(reply)

    def draws(self) -> bool:
        """Return True if the DUT draws current now.

        A reading is the mean of two seconds, so a DUT that was just switched off still seems to draw. If the
        supply may have been switched within that time, read until the draw has gone, rises, or has stayed.
        """
        lowest = amps = abs(self.read().amps)
        while amps >= OFF_AMPS and amps - lowest < _RISE_AMPS and (wait_s := self.settles_in_s):
            sleep(min(wait_s, _READ_EVERY_S))
            amps = abs(self.read().amps)
            lowest = min(lowest, amps)
        return amps >= OFF_AMPS

    def try_read(self, limit_s: float) -> PowerReading | None:
        """Return a reading if the board answers now, else None; see `ControlLink.try_read`.

        Raises:
            BoardReplyError: As `read`.
        """
        reply = self._link.try_read(Request.READ, ReadKey.POWER, limit_s)
        return None if reply is None else PowerReading.parse(reply)

    def trace(
        self, every_s: float = EVERY_S, offset_amps: float = 0.0, exact_energy: bool = True
    ) -> PowerSampler:
        """Read the meter in a thread: `with power.trace() as trace: ...`.

        Args:
            every_s: Seconds between two readings; a slow board takes longer.
            offset_amps: The current that this board reads while none is drawn; it is subtracted.
            exact_energy: Continue for one second after the block, since readings are that late; not after a
                block that raised.

        Raises:
            UsageError: `every_s` is less than the meter's own 0.01 s, or more than an hour.
        """
        from hil.dutlink.power.sampling import PowerSampler  # noqa: PLC0415 - for traces alone

        return PowerSampler(self.read, every_s, offset_amps, exact_energy)

    def wait_until_off(
        self, timeout_s: float = 5.0, offset_amps: float = 0.0, tolerance_amps: float = OFF_AMPS
    ) -> PowerReading:
        """Wait until the DUT draws no current, and return that reading.

        Only the current counts, since the firmware does not tell whether the voltage is taken before or after
        the switch. A reading settles within two seconds.

        Args:
            timeout_s: How long to wait, in seconds.
            offset_amps: The current that this board reads while none is drawn.
            tolerance_amps: A difference from the offset that still counts as no current.

        Raises:
            BoardFaultError: The DUT still draws current.
        """

        def off() -> PowerReading | None:
            reading = self.read()
            return reading if abs(reading.amps - offset_amps) <= tolerance_amps else None

        reading = until(off, timeout_s, _READ_EVERY_S)
        if reading is None:
            raise BoardFaultError(
                f"board {self._link.serial}: the DUT is not off after {timeout_s:.1f} s",
                why=f"it draws {self.read().amps:.2f} A",
                remedy="power.force_off() ignores the power_off sequence",
                serial=self._link.serial,
            )
        return reading

    def _run(self, action: PowerAction, setting: ConfigKey, wait: bool) -> None:
        """Send a request, after reading the duration of its sequence from the board."""
        self._cut = self._is_off = False
        stored = self._link.read_setting(setting)
        duration_s = stored_duration_s(stored)
        self._report(PowerEvent(action, duration_s))
        with self._link.lock:  # another thread's reading must not come between request and `set_busy`
            self._link.control_out(Request.POWER, action)
            self._latest = action.name.lower()
            self._unheard = _unheard(setting, stored)
            self._is_off = action is PowerAction.OFF and leaves_supply_off(stored)
            self._link.set_busy(duration_s)
            self._changed_s = time.monotonic() + duration_s
        if wait:
            self._link.wait_ready()
            self._report(PowerEvent(action, is_done=True))


def _unheard(setting: ConfigKey, stored: bytes) -> str:
    lost_s = unheard_s(stored)
    if lost_s <= 0:
        return ""
    text = stored.split(b"\0", 1)[0].decode(errors="replace")
    return (
        f"what the DUT printed in its first {lost_s:.1f} s is lost, because the board's "
        f"{setting.name.lower()} sequence {text!r} waits after it has switched the supply on"
    )
