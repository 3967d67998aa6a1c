"""Plugs in what a USB/IP server exports, and again whenever it comes back: the hand at the cable.

It needs Linux' vhci_hcd and root, and nothing of this project: its few lines of USB/IP are written from the
kernel's Documentation/usb/usbip_protocol.rst, so that our own codec cannot share a mistake with it.
"""

from __future__ import annotations

import argparse
import socket
import struct
import time
from pathlib import Path

VERSION = 0x0111
REQUEST_LIST = 0x8005
REQUEST_IMPORT = 0x8003
HEADER = struct.Struct(">HHI")
DEVICE = struct.Struct(">256s32sIIIHHHBBBBBB")
SUPER_SPEED = 5
FREE = "004"
VHCI = Path("/sys/devices/platform/vhci_hcd.0")

ANSWER_LIMIT_S = 5.0
LOOK_EVERY_S = 0.2
"""A USB/IP server announces nothing, so its list is asked for again and again."""


def main() -> None:
    """Keep everything plugged in until killed; the kernel lets go of a device when its connection ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    server = (options.address, options.port)
    ports: dict[str, int] = {}
    while True:
        try:
            plug_in(server, ports)
        except (TimeoutError, ConnectionError, EOFError) as error:  # a busy machine
            print(f"plugger: looking again after {error!r}", flush=True)  # noqa: T201 - its log
        time.sleep(LOOK_EVERY_S)


def plug_in(server: tuple[str, int], ports: dict[str, int]) -> None:
    """Plug in all that the server exports now; raises OSError or EOFError if it does not answer."""
    for busid in exported(server):
        port = attach(server, busid, ports)
        if port is not None:
            print(f"plugger: {busid} is at port {port}", flush=True)  # noqa: T201 - its log


def exported(server: tuple[str, int]) -> list[str]:
    """Bus ids that may be imported now: a server does not list a device that is imported."""
    with socket.create_connection(server, ANSWER_LIMIT_S) as connection:
        connection.sendall(HEADER.pack(VERSION, REQUEST_LIST, 0))
        receive(connection, HEADER.size)
        (count,) = struct.unpack(">I", receive(connection, 4))
        found = []
        for _ in range(count):
            record = DEVICE.unpack(receive(connection, DEVICE.size))
            receive(connection, 4 * record[-1])
            found.append(record[1].rstrip(b"\0").decode())
    return found


def attach(server: tuple[str, int], busid: str, ports: dict[str, int]) -> int | None:
    """Import one device and hand its connection to the kernel; None if it went away before that.

    A cable stays in its socket, so a device comes back at the port where it was: `ports`, by bus id.
    """
    with socket.create_connection(server, ANSWER_LIMIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(HEADER.pack(VERSION, REQUEST_IMPORT, 0) + busid.encode().ljust(32, b"\0"))
        _, _, status = HEADER.unpack(receive(connection, HEADER.size))
        if status:
            return None
        _, _, busnum, devnum, speed, *_ = DEVICE.unpack(receive(connection, DEVICE.size))
        connection.settimeout(None)  # the kernel wants a blocking socket
        port = ports[busid] = free_port(speed, ports.get(busid), set(ports.values()))
        words = f"{port} {connection.fileno()} {busnum << 16 | devnum} {speed}"
        VHCI.joinpath("attach").write_text(words, "ascii")
        return port


def free_port(speed: int, usual: int | None, others: set[int]) -> int:
    """The usual port, or the first free one of the hub for that speed that is not another device's.

    Raises LookupError where all are taken.
    """
    hub = "ss" if speed >= SUPER_SPEED else "hs"
    rows = [line.split() for line in VHCI.joinpath("status").read_text("ascii").splitlines()[1:]]
    free = [int(port) for kind, port, state, *_ in rows if kind == hub and state == FREE]
    if not free:
        message = f"no free {hub} port of vhci_hcd"
        raise LookupError(message)
    if usual in free:
        return usual
    return min(free, key=lambda port: (port in others, port))


def receive(connection: socket.socket, length: int) -> bytes:
    """Receive exactly so many bytes; raises EOFError when the server hangs up."""
    received = b""
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise EOFError
        received += piece
    return received


if __name__ == "__main__":
    main()
