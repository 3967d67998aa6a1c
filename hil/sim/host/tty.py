"""The console's tty on the simulated host: a pty, and the work of Linux' cdc_acm driver.

The bridge reads from the board only while a program has the tty open. Old output waits in the board's buffers
for the next program that opens it. A new tty is raw, as on a host with hil's udev rule: Linux' default echo
would send old output back to the DUT before the program that opens it can set raw mode. The tty then keeps
what programs set.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import termios
import tty
from pathlib import Path
from typing import TYPE_CHECKING

from hil.sim.host.faulty_path import HOST_DRIVER
from hil.sim.interfaces import Urb, UsbDevice

if TYPE_CHECKING:
    import asyncio

    from hil.sim.host.bus import UsbPort
    from hil.sim.host.dev_nodes import DeviceNode
    from hil.sim.host.open_watch import OpenWatch

__all__ = ["SimulatedTty"]

_BULK_IN = 2
_BULK_OUT = 1
_CONTROL_INTERFACE = 0
_READ_BYTES = 128
_WRITE_BYTES = 1024
_SET_CONTROL_LINE_STATE = struct.Struct("<BBHHH")
_DTR_AND_RTS = 3


class SimulatedTty:
    """A board's tty. It exists while the simulated host's cdc_acm drives the board.

    Args:
        port: The board's port.
        node: Its device node.
        watch: Reports when a program opens it.
        loop: The simulator's event loop.
    """

    def __init__(
        self, port: UsbPort, node: DeviceNode, watch: OpenWatch, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._port = port
        self._node = node
        self._watch = watch
        self._loop = loop
        self._bridge: _PtyBridge | None = None
        self._denied = False
        port.listeners.append(self._show_or_hide)

    def deny(self, on: bool) -> None:
        """Let only root open the tty, or all users again."""
        self._denied = on
        if self._bridge is not None:
            self._bridge.permit(not on)

    def close(self) -> None:
        """Close the tty and remove its node."""
        if self._bridge is not None:
            self._bridge.hang_up()
            self._bridge = None
            self._node.hide()

    def _show_or_hide(self) -> None:
        device = self._port.device if self._port.has_driver(_CONTROL_INTERFACE) else None
        if self._bridge is not None and self._bridge.device is not device:
            self.close()
        if self._bridge is None and device is not None:
            self._bridge = _PtyBridge(device, self._watch, self._loop)
            self._bridge.permit(not self._denied)
            self._node.show_link(self._bridge.path)


class _PtyBridge:
    """Passes bytes between a pty and a board's two bulk endpoints, until the board is unplugged."""

    def __init__(self, device: UsbDevice, watch: OpenWatch, loop: asyncio.AbstractEventLoop) -> None:
        self.device = device
        self._loop = loop
        self._watch = watch
        self._master, slave = os.openpty()
        self.path = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._watched = watch.add(self.path, self._opened)
        self._is_open = False
        self._incoming: Urb | None = None
        self._outgoing: Urb | None = None
        self._unread = b""

    def permit(self, permitted: bool) -> None:
        """Allow or forbid other users than root to open the tty."""
        Path(self.path).chmod(0o660 if permitted else 0)

    def hang_up(self) -> None:
        """Close the pty, because the board is gone; programs that have it open read its end."""
        self._stop()
        for urb in (self._incoming, self._outgoing):
            if urb is not None:
                self.device.cancel(urb)
        self._watch.remove(self._watched)
        os.close(self._master)
        self._master = -1

    def _opened(self) -> None:
        if self._is_open or not self._has_opener():
            return
        self._is_open = True
        self._control_line_state(_DTR_AND_RTS)
        self._loop.add_reader(self._master, self._read_tty)
        self._ask_board()

    def _has_opener(self) -> bool:
        """Return True if a program has the slave open, or had it open and left bytes to send."""
        return not self._is_hung_up() or bool(self._events() & select.POLLIN)

    def _is_hung_up(self) -> bool:
        """Return True if no program has the slave open."""
        return bool(self._events() & select.POLLHUP)

    def _events(self) -> int:
        return dict(self._poll.poll(0)).get(self._master, 0)

    def _closed(self) -> None:
        self._stop()
        if self._incoming is not None:
            self.device.cancel(self._incoming)
            self._incoming = None
        self._unread = b""
        self._forget_unread()
        self._control_line_state(0)
        self._opened()  # a program may have opened it since

    def _stop(self) -> None:
        self._is_open = False
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)

    def _forget_unread(self) -> None:
        """Drop bytes that the last program left unread: a pty would keep them, cdc_acm does not."""
        with contextlib.suppress(OSError):
            slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            termios.tcflush(slave, termios.TCIFLUSH)
            os.close(slave)

    # to the board

    def _read_tty(self) -> None:
        try:
            data = os.read(self._master, _WRITE_BYTES)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last program closed it
            self._closed()
            return
        self._loop.remove_reader(self._master)
        self._outgoing = Urb(_BULK_OUT, False, bytes(8), data, len(data), HOST_DRIVER, self._written)
        self.device.submit(self._outgoing)

    def _written(self, _status: int, _data: bytes) -> None:
        self._outgoing = None
        if self._is_open:
            self._loop.add_reader(self._master, self._read_tty)

    # to the host

    def _ask_board(self) -> None:
        if self._incoming is None and self._is_open:
            self._incoming = Urb(_BULK_IN, True, bytes(8), b"", _READ_BYTES, HOST_DRIVER, self._received)
            self.device.submit(self._incoming)

    def _received(self, status: int, data: bytes) -> None:
        self._incoming = None
        if status == 0 and self._is_open:
            self._unread += data
            # not at once: a board that always has output would let no other task run
            self._loop.call_soon(self._write_tty)

    def _write_tty(self) -> None:
        if not self._is_open:
            return
        try:
            written = os.write(self._master, self._unread) if self._unread else 0
        except OSError:  # the pty is full or was closed
            if self._is_hung_up():
                self._closed()  # no read reports this while the board takes no bytes
                return
            written = 0
        self._unread = self._unread[written:]
        if self._unread:
            self._loop.add_writer(self._master, self._write_tty)
        else:
            self._loop.remove_writer(self._master)
            self._ask_board()

    def _control_line_state(self, state: int) -> None:
        setup = _SET_CONTROL_LINE_STATE.pack(0x21, 0x22, state, _CONTROL_INTERFACE, 0)
        self.device.submit(Urb(0, False, setup, b"", 0, HOST_DRIVER, _ignore))


def _ignore(_status: int, _data: bytes) -> None:
    """Ignore the answer, as the driver does."""
