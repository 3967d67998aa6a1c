"""The operating system on the simulated DUT: boot, login session, shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from hil.sim.dut.boot_log import HALF_WAY, boot_log
from hil.sim.dut.power_draw import DutPhase
from hil.sim.dut.script import Script, Steps
from hil.sim.dut.session import LoginSession

if TYPE_CHECKING:
    from random import Random

    from hil.sim.dut.image import DutImage
    from hil.sim.dut.terminal import DutTerminal
    from hil.sim.dut.uart import DutTransmitter
    from hil.sim.interfaces import BlockStore, Clock

__all__ = ["DutHardware", "System"]

_JITTER: Final = 0.1
"""Largest relative difference in the duration of a step between two boots."""

_STOPPING_S: Final = 0.15


class DutHardware(Protocol):
    """The DUT as its system sees it."""

    hangs_in_boot: bool

    @property
    def store(self) -> BlockStore | None:
        """The stick, or None if the mux does not connect it to the DUT."""
        ...

    def enter(self, phase: DutPhase, amps: float | None = None) -> None:
        """Enter a phase, and draw its current or `amps`."""
        ...

    def stopped(self, *, restart: bool) -> None:
        """Handle the end of the shutdown."""
        ...


class System:
    """An operating system, from the first line of its boot log to its shutdown.

    Args:
        clock: Simulated time.
        uart: UART of its console.
        hardware: The DUT.
        image: The booted image.
        rng: Source of small differences in boot time, or None for none.
    """

    def __init__(
        self, clock: Clock, uart: DutTransmitter, hardware: DutHardware, image: DutImage, rng: Random | None
    ) -> None:
        self.identity = image.identity
        self._clock = clock
        self._uart = uart
        self._hardware = hardware
        self._rng = rng
        self._began_s = clock.now()
        self._lines: list[str] = []
        self._session: LoginSession | None = None
        self._booting = True
        self._stick_lost = False
        self._script: Script[bool] = Script(clock, uart, self._boot(), self._booted)

    def start(self) -> None:
        """Begin to boot."""
        self._hardware.enter(DutPhase.BOOT)
        self._script.start()

    def close(self) -> None:
        """Stop at once and print nothing, as on a reset or without supply."""
        self._booting = False
        self._script.cancel()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    @property
    def terminal(self) -> DutTerminal | None:
        """The terminal that reads typed bytes, or None if there is no login session."""
        return self._session.terminal if self._session else None

    @property
    def logged_in(self) -> bool:
        """Whether a user is logged in."""
        return self._session is not None and self._session.logged_in

    @property
    def uptime_s(self) -> float:
        """Seconds since the kernel started."""
        return self._clock.now() - self._began_s

    @property
    def stick(self) -> BlockStore | None:
        """The stick, or None if the mux does not connect it to the DUT."""
        return self._hardware.store

    @property
    def boot_log(self) -> str:
        """All lines of the kernel's log so far."""
        return "".join(self._lines)

    def load(self, amps: float | None) -> None:
        """Draw `amps`; None returns to the idle current, unless the system is shutting down."""
        if amps is not None:
            self._hardware.enter(DutPhase.LOAD, amps)
        elif self._session is not None:
            self._hardware.enter(DutPhase.IDLE)

    def power_button(self) -> None:
        """Shut down if the boot is complete; a booting system ignores the button."""
        if self._session is not None:
            self.shut_down(restart=False)

    def shut_down(self, *, restart: bool) -> None:
        """Begin to shut down; the session ends at once."""
        self.close()
        self._uart.clear()
        self._hardware.enter(DutPhase.SHUTDOWN)
        self._script = Script(self._clock, self._uart, self._go_down(restart=restart), self._down)
        self._script.start()

    def stick_gone(self) -> None:
        """Log an error, once, because the mux disconnected the stick; a booting system panics."""
        if self._stick_lost:
            return
        self._stick_lost = True
        died = self._booting
        if died:
            self.close()
            self._uart.clear()
        self._uart.send(b"\r\n" + self._log_line("sda: I/O error").encode())
        if died:
            self._uart.send(self._log_line("Kernel panic - not syncing: no root file system").encode())
            self._hardware.enter(DutPhase.HUNG)

    def _boot(self) -> Steps[bool]:
        stick = self._hardware.store
        for index, (work_s, text) in enumerate(boot_log(self.identity, stick.size_bytes if stick else 0)):
            if index == HALF_WAY and self._hardware.hangs_in_boot:
                return False
            if work_s:
                yield work_s * self._jitter()
            yield self._log_line(text)
        return True

    def _booted(self, up: bool) -> None:
        self._booting = False
        if not up:
            self._hardware.enter(DutPhase.HUNG)
            return
        self._hardware.enter(DutPhase.IDLE)
        self._session = LoginSession(self._clock, self._uart, self)

    def _go_down(self, *, restart: bool) -> Steps[bool]:
        yield "\r\nThe system is going down.\r\n"
        for text in ("init: stopping services", "EXT4-fs (sda1): unmounting filesystem."):
            yield _STOPPING_S * self._jitter()
            yield self._log_line(text)
        yield self._log_line("reboot: Restarting system" if restart else "reboot: Power down")
        return restart

    def _down(self, restart: bool) -> None:
        self._hardware.stopped(restart=restart)

    def _jitter(self) -> float:
        return self._rng.uniform(1 - _JITTER, 1 + _JITTER) if self._rng else 1.0

    def _log_line(self, text: str) -> str:
        """Return a line of the kernel's log with its time, and store it for `dmesg`."""
        line = f"[{self.uptime_s:12.6f}] {text}\r\n"
        self._lines.append(line)
        return line
