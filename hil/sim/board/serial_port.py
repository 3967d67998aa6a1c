"""The board's CDC-ACM port: two buffers, and the requests to its interface.

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
"""Size of each of the two buffers (firmware: usbserial.rs)."""

_SHORT_PACKET_INTERVAL: Final = 10
_DEFAULT_LINE_CODING: Final = struct.pack("<IBBB", 9600, 0, 0, 8)
_INTERFACE: Final = 0
_MOST_STOP_BITS: Final = 2
_MOST_PARITY: Final = 4


class _CdcRequest:
    """`bRequest` of CDC-ACM (usbd-serial: cdc_acm.rs)."""

    SEND_ENCAPSULATED_COMMAND: Final = 0x00
    SET_LINE_CODING: Final = 0x20
    GET_LINE_CODING: Final = 0x21
    SET_CONTROL_LINE_STATE: Final = 0x22


class SerialPort:
    """A `UsbClass` with a byte stream in each direction.

    Args:
        to_host: Endpoint that it writes to.
        from_host: Endpoint that it reads from.
    """

    def __init__(self, to_host: InEndpoint, from_host: OutEndpoint) -> None:
        self._to_host = to_host
        self._from_host = from_host
        self._read = bytearray()
        self._write = bytearray()
        self._full_packets = 0
        self.line_coding = _DEFAULT_LINE_CODING

    def read(self, most_bytes: int) -> bytes:
        """Return at most `most_bytes` from the host; first buffer a packet if there is room for it."""
        if self._from_host.packet is not None and BUFFER_BYTES - len(self._read) >= PACKET_BYTES:
            self._read += self._from_host.take()
        data = bytes(self._read[:most_bytes])
        del self._read[:most_bytes]
        return data

    def write(self, data: bytes) -> int:
        """Buffer the bytes that fit, send a packet if the endpoint is free, and return how many fit."""
        taken = min(BUFFER_BYTES - len(self._write), len(data))
        self._write += data[:taken]
        self.flush()
        return taken

    def write_all(self, data: bytes) -> Task:
        """Write all bytes one by one; wait for the host to read while there is no room.

        If the endpoint is free, the first byte is sent alone, and the others gather in the buffer.
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

        A short packet must follow full ones, so that the host sees the end of a transfer: an empty packet if
        the buffer is empty, or one of 63 bytes after ten full packets.
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
        """Answer GET_LINE_CODING if it asks for exactly seven bytes."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request == _CdcRequest.GET_LINE_CODING and setup.length == len(self.line_coding):
            return self.line_coding
        return Handshake.STALL

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:
        """Accept line coding and control lines. They have no effect on the UART."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request == _CdcRequest.SET_LINE_CODING and len(data) >= len(self.line_coding):
            self.line_coding = _sane_line_coding(data)
        elif setup.request not in (_CdcRequest.SET_CONTROL_LINE_STATE, _CdcRequest.SEND_ENCAPSULATED_COMMAND):
            return Handshake.STALL
        return b""

    def reset(self) -> None:
        """Empty the buffers and restore the default line coding, as after a bus reset."""
        self._read.clear()
        self._write.clear()
        self._full_packets = 0
        self.line_coding = _DEFAULT_LINE_CODING


def _sane_line_coding(data: bytes) -> bytes:
    """Replace undefined stop bits by one stop bit, and undefined parity by none."""
    rate, stop_bits, parity, data_bits = struct.unpack_from("<IBBB", data)
    stop_bits = stop_bits if stop_bits <= _MOST_STOP_BITS else 0
    parity = parity if parity <= _MOST_PARITY else 0
    return struct.pack("<IBBB", rate, stop_bits, parity, data_bits)
