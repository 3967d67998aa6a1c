"""What consoles say in the benchmarks: the far ends of pseudo-terminals, written to by a process of its own.

Run as a program it writes; imported it starts that program.
"""

from __future__ import annotations

import argparse
import heapq
import os
import pty
import subprocess
import sys
import time
import tty
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_A_SECOND = 11_520
"""Of 115200 baud: a byte is ten bits on the line."""

PACKET_BYTES = 64
"""What the board hands over at once (firmware: usbserial.rs)."""

THE_END = b"THE END"
MARK = b"dut-%08d login: "
LINE = b"[    1.234567] usb 1-1: new high-speed USB device number 2 using xhci_hcd\r\n"


@dataclass(frozen=True, slots=True)
class Feed:
    """Consoles that are written to.

    Attributes:
        ttys: Their nodes.
        slaves: The same, open.
        process: The writer.
    """

    ttys: list[Path]
    slaves: list[int]
    process: subprocess.Popen[bytes]


def packet(console: int, number: int) -> bytes:
    """Return what a console says in its packet of that number: another one for each."""
    return b"console %04d says packet %08d of a pattern that is known .\r\n" % (console, number)


@contextmanager
def feeding(consoles: int, *arguments: str) -> Iterator[Feed]:
    """Start a writer for so many consoles; it is over at the end of the block."""
    pairs = [pty.openpty() for _ in range(consoles)]
    for _, slave in pairs:
        tty.setraw(slave)
    masters = [master for master, _ in pairs]
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments, *map(str, masters)],
        pass_fds=masters,
        stdin=subprocess.PIPE,
    )
    try:
        slaves = [slave for _, slave in pairs]
        yield Feed([Path(os.ttyname(slave)) for slave in slaves], slaves, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        for descriptor in (descriptor for pair in pairs for descriptor in pair):
            os.close(descriptor)


def main() -> None:
    """Write, as fast as it is read or at the pace of a UART; then wait for the end of standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=0, help="so much at full speed")
    parser.add_argument("--every", type=int, default=0, help="a mark behind so many bytes")
    parser.add_argument("--packets", type=int, default=0, help="so many packets at the pace of a UART")
    parser.add_argument("masters", type=int, nargs="+")
    options = parser.parse_args()
    sys.stdin.buffer.readline()  # the reader is ready
    if options.packets:
        _paced(options.masters, options.packets)
    else:
        _at_full_speed(options.masters[0], options.megabytes * 1_000_000, options.every)
    sys.stdin.read()


def _at_full_speed(master: int, size: int, every: int) -> None:
    block = LINE * max(1, every // len(LINE))
    number = sent = 0
    while sent < size:
        number += 1
        data = block + MARK % number
        _write(master, data)
        sent += len(data)
    _write(master, THE_END)


def _paced(masters: list[int], packets: int) -> None:
    step_s = PACKET_BYTES / BYTES_A_SECOND
    began = time.monotonic()
    due = [(began + step_s * at / len(masters), at, 0) for at in range(len(masters))]
    heapq.heapify(due)
    while due:
        when, at, number = heapq.heappop(due)
        time.sleep(max(0.0, when - time.monotonic()))
        _write(masters[at], packet(at, number))
        if number + 1 < packets:
            heapq.heappush(due, (when + step_s, at, number + 1))


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    main()
