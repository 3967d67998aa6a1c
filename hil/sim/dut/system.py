"""The operating system on the simulated DUT: boot, login session, shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from hil.sim.dut.power_draw import DutPhase
from hil.sim.dut.script import Script, Steps
from hil.sim.dut.session import LoginSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from hil.sim.dut.image import DutImage
    from hil.sim.dut.terminal import DutTerminal
    from hil.sim.dut.uart import DutTransmitter
    from hil.sim.dut.wire import WireEnd
    from hil.sim.interfaces import BlockStore, Clock

__all__ = ["HALF_WAY", "DutHardware", "System", "boot_log"]

_TEMPLATE: Final = """\
.02|Booting Linux on physical CPU 0x0000000000 [0x410fd034]
|Linux version 6.1.0-hil (build@sim) (cc 12.2.0, ld 2.40) #1 SMP PREEMPT
|image: {identity}
|Machine model: hil simulated DUT
|earlycon: uart0 at MMIO 0x00000000fe201000 (options '115200n8')
|printk: bootconsole [uart0] enabled
|Memory limited to 1024MB
|Reserved memory: created DMA pool at 0x0000000038000000, size 64 MiB
|Zone ranges:
|  DMA      [mem 0x0000000000000000-0x000000003fffffff]
|  Normal   empty
|Movable zone start for each node
|Early memory node ranges
|  node   0: [mem 0x0000000000000000-0x000000003fffffff]
|percpu: Embedded 20 pages/cpu s43112 r8192 d30616 u81920
|Detected VIPT I-cache on CPU0
|CPU features: detected: Spectre-v2, firmware mitigation not needed
|Kernel command line: console=ttyS0,115200 root=/dev/sda1 rootwait ro
.05|Dentry cache hash table entries: 131072 (order: 8, 1048576 bytes, linear)
|Inode-cache hash table entries: 65536 (order: 7, 524288 bytes, linear)
|mem auto-init: stack:off, heap alloc:off, heap free:off
|Memory: 925060K/1048576K available (11776K kernel code, 2104K rwdata, 65536K cma)
|SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=4, Nodes=1
|rcu: Preemptible hierarchical RCU implementation.
|rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.
|NR_IRQS: 64, nr_irqs: 64, preallocated irqs: 0
|arch_timer: cp15 timer(s) running at 54.00MHz (phys).
|sched_clock: 56 bits at 54MHz, resolution 18ns, wraps every 4398046511102ns
|Console: colour dummy device 80x25
.04|Calibrating delay loop (skipped), value calculated using timer frequency: 108.00 BogoMIPS
|pid_max: default: 32768 minimum: 301
|Mount-cache hash table entries: 2048 (order: 2, 16384 bytes, linear)
|smp: Bringing up secondary CPUs ...
.02|CPU1: Booted secondary processor 0x0000000001 [0x410fd034]
.02|CPU2: Booted secondary processor 0x0000000002 [0x410fd034]
.02|CPU3: Booted secondary processor 0x0000000003 [0x410fd034]
|smp: Brought up 1 node, 4 CPUs
|devtmpfs: initialized
|pinctrl core: initialized pinctrl subsystem
.03|NET: Registered PF_NETLINK/PF_ROUTE protocol family
|cpuidle: using governor menu
|SCSI subsystem initialized
|usbcore: registered new interface driver usbfs
|usbcore: registered new interface driver hub
|usbcore: registered new device driver usb
|pps_core: LinuxPPS API ver. 1 registered
|clocksource: Switched to clocksource arch_sys_counter
.05|NET: Registered PF_INET protocol family
|TCP: Hash tables configured (established 8192 bind 8192)
|NET: Registered PF_UNIX/PF_LOCAL protocol family
|workingset: timestamp_bits=46 max_order=18 bucket_order=0
|io scheduler mq-deadline registered
.04|Serial: 8250/16550 driver, 1 ports, IRQ sharing enabled
|fe201000.serial: ttyS0 at MMIO 0xfe201000 (irq = 23, base_baud = 1500000) is a 16550A
|printk: console [ttyS0] enabled
|xhci-hcd xhci-hcd.0: xHCI Host Controller
|xhci-hcd xhci-hcd.0: new USB bus registered, assigned bus number 1
|hub 1-0:1.0: USB hub found
|hub 1-0:1.0: 4 ports detected
|i2c_dev: i2c /dev entries driver
|Waiting for root device /dev/sda1...
.45|usb 1-1: new SuperSpeed USB device number 2 using xhci-hcd
.10|usb-storage 1-1:1.0: USB Mass Storage device detected
|scsi host0: usb-storage 1-1:1.0
|scsi 0:0:0:0: Direct-Access     hil      storage stick    1.00 PQ: 0 ANSI: 6
.08|sd 0:0:0:0: [sda] {sectors} 512-byte logical blocks
|sd 0:0:0:0: [sda] Write Protect is off
| sda: sda1
|sd 0:0:0:0: [sda] Attached SCSI removable disk
.06|EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.
|VFS: Mounted root (ext4 filesystem) readonly on device 8:1.
|devtmpfs: mounted
|Freeing unused kernel memory: 6336K
|Run /sbin/init as init process
.12|init: starting services
.20|init: network is up
.12|init: running {identity}
"""

_LINES: Final = tuple(line.partition("|")[::2] for line in _TEMPLATE.splitlines())

HALF_WAY: Final = len(_LINES) // 2
"""Index of the line before which a DUT with the fault `hang_in_boot` stops."""


def boot_log(identity: str, size_bytes: int) -> Iterator[tuple[float, str]]:
    """Yield each line of the log with the seconds of work before it.

    Args:
        identity: Identity of the image that boots.
        size_bytes: Size of the stick.
    """
    for work_s, text in _LINES:
        yield float(work_s or 0), text.format(identity=identity, sectors=size_bytes // 512)


_JITTER: Final = 0.1
"""Largest relative difference in the duration of a step between two boots."""

_STOPPING_S: Final = 0.15


class DutHardware(Protocol):
    """The DUT as its system sees it."""

    hangs_in_boot: bool
    wire: WireEnd

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
    def wire(self) -> WireEnd:
        """The wire to other DUTs."""
        return self._hardware.wire

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
        self.wire.stop()
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
        self.wire.start()
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
