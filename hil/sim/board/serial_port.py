"""The board's CDC-ACM port: two buffers and the requests of its interface.

Source: usbd-serial 0.2.2, serial_port.rs and cdc_acm.rs.
"""

from __future__ import annotations

import struct
from typing import Final

from hil.sim.board.cpu import HostMustRead, Task
from hil.sim.board.endpoint_zero import Handshake, Reply, RequestKind, SetupPacket
from hil.sim.board.endpoints import PACKET_BYTES, InEndpoint, OutEndpoint

__all__ = ["BUFFER_BYTES", "SerialPort"]

BUFFER_BYTES: Final = 1024
"""Each way (firmware: usbserial.rs)."""

_SHORT_PACKET_INTERVAL: Final = 10
_DEFAULT_LINE_CODING: Final = struct.pack("<IBBB", 9600, 0, 0, 8)
_INTERFACE: Final = 0
_MOST_STOP_BITS: Final = 2
_MOST_PARITY: Final = 4


class _CdcRequest:
    """`bRequest` of the class (usbd-serial: cdc_acm.rs)."""

    SEND_ENCAPSULATED_COMMAND: Final = 0x00
    SET_LINE_CODING: Final = 0x20
    GET_LINE_CODING: Final = 0x21
    SET_CONTROL_LINE_STATE: Final = 0x22


class SerialPort:
    """A `UsbClass` with a stream each way.

    Args:
        to_host: The endpoint that it writes to.
        from_host: The endpoint that it reads.
    """

    def __init__(self, to_host: InEndpoint, from_host: OutEndpoint) -> None:
        self._to_host = to_host
        self._from_host = from_host
        self._read = bytearray()
        self._write = bytearray()
        self._full_packets = 0
        self.line_coding = _DEFAULT_LINE_CODING

    def read(self, most_bytes: int) -> bytes:
        """Return what the host sent, no more than asked for; take in a packet first if one has room."""
        if self._from_host.packet is not None and BUFFER_BYTES - len(self._read) >= PACKET_BYTES:
            self._read += self._from_host.take()
        data = bytes(self._read[:most_bytes])
        del self._read[:most_bytes]
        return data

    def write(self, data: bytes) -> int:
        """Buffer as much as fits and send a packet if the way is free; return the number of bytes taken."""
        taken = min(BUFFER_BYTES - len(self._write), len(data))
        self._write += data[:taken]
        self.flush()
        return taken

    def write_all(self, data: bytes) -> Task:
        """Write everything byte by byte, waiting for the host to read where there is no room.

        The first byte leaves alone when the way is free; the others gather behind it.
        """
        rest = memoryview(data)
        while rest:
            portion = 1 if self._to_host.packet is None else len(rest)
            taken = self.write(bytes(rest[:portion]))
            rest = rest[taken:]
            if not taken and self._to_host.packet is not None:
                yield HostMustRead()

    def flush(self) -> None:
        """Fill the endpoint's packet memory if it is empty.

        A full packet is followed by a short one so that the host sees the end of a transfer: by one of no
        bytes when nothing is left, by one of 63 bytes after ten full ones.
        """
        if self._write:
            most = PACKET_BYTES - (self._full_packets >= _SHORT_PACKET_INTERVAL)
            packet = bytes(self._write[:most])
            if self._to_host.load(packet):
                del self._write[:most]
                self._full_packets = self._full_packets + 1 if len(packet) == PACKET_BYTES else 0
        elif self._full_packets and self._to_host.load(b""):
            self._full_packets = 0

    def control_in(self, setup: SetupPacket) -> Reply:
        """Answer GET_LINE_CODING, and only if it asks for exactly seven bytes."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request == _CdcRequest.GET_LINE_CODING and setup.length == len(self.line_coding):
            return self.line_coding
        return Handshake.STALL

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:
        """Take line coding and control lines; neither has any effect on the UART."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request == _CdcRequest.SET_LINE_CODING and len(data) >= len(self.line_coding):
            self.line_coding = _sane_line_coding(data)
        elif setup.request not in (_CdcRequest.SET_CONTROL_LINE_STATE, _CdcRequest.SEND_ENCAPSULATED_COMMAND):
            return Handshake.STALL
        return b""

    def reset(self) -> None:
        """Forget what is buffered, and the line coding, as after a bus reset."""
        self._read.clear()
        self._write.clear()
        self._full_packets = 0
        self.line_coding = _DEFAULT_LINE_CODING


def _sane_line_coding(data: bytes) -> bytes:
    """Stop bits and parity that are not defined become one stop bit and none."""
    rate, stop_bits, parity, data_bits = struct.unpack_from("<IBBB", data)
    stop_bits = stop_bits if stop_bits <= _MOST_STOP_BITS else 0
    parity = parity if parity <= _MOST_PARITY else 0
    return struct.pack("<IBBB", rate, stop_bits, parity, data_bits)
