"""The boot log of the simulated DUT: plausible, but copied from no real system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HALF_WAY", "boot_log"]

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
