"""The console's tty on the simulated host: a pty, and what Linux' cdc_acm does behind it.

The bridge reads from the board only while somebody has the tty open, so old output waits in the board's own
buffers for the next one to open it. It leaves the tty's settings alone: a fresh one echoes, as on Linux, and
a program that does not set raw mode sends the DUT's boot log back to the DUT.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from hil.sim.interfaces import Urb, UsbDevice
from hil.sim.management.faulty_path import HOST_DRIVER

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
    """One board's tty; it is there while the simulated host's cdc_acm has the board.

    Args:
        port: Where the board is plugged in.
        node: Its device node.
        watch: Tells when somebody opens it.
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
        """Let nobody but root open it, or everybody again."""
        self._denied = on
        if self._bridge is not None:
            self._bridge.permit(not on)

    def close(self) -> None:
        """Hang up; the node is gone."""
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
    """A pty and a board's two bulk endpoints, from plugging in to unplugging."""

    def __init__(self, device: UsbDevice, watch: OpenWatch, loop: asyncio.AbstractEventLoop) -> None:
        self.device = device
        self._loop = loop
        self._watch = watch
        self._master, slave = os.openpty()
        self.path = os.ttyname(slave)
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
        """Allow others than root to open it, or not."""
        Path(self.path).chmod(0o660 if permitted else 0)

    def hang_up(self) -> None:
        """The board is gone: whoever has the tty open reads its end."""
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
        """Whether the slave is open, or was and left something to send."""
        return not self._is_hung_up() or bool(self._events() & select.POLLIN)

    def _is_hung_up(self) -> bool:
        """Whether no program has the slave open."""
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
        self._opened()  # somebody may have been quick

    def _stop(self) -> None:
        self._is_open = False
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)

    def _forget_unread(self) -> None:
        """What the last one left unread is not for the next one: a pty would keep it, cdc_acm does not."""
        with contextlib.suppress(OSError):
            slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            termios.tcflush(slave, termios.TCIFLUSH)
            os.close(slave)

    # towards the board

    def _read_tty(self) -> None:
        try:
            data = os.read(self._master, _WRITE_BYTES)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last one closed it
            self._closed()
            return
        self._loop.remove_reader(self._master)
        self._outgoing = Urb(_BULK_OUT, False, bytes(8), data, len(data), HOST_DRIVER, self._written)
        self.device.submit(self._outgoing)

    def _written(self, _status: int, _data: bytes) -> None:
        self._outgoing = None
        if self._is_open:
            self._loop.add_reader(self._master, self._read_tty)

    # towards the host

    def _ask_board(self) -> None:
        if self._incoming is None and self._is_open:
            self._incoming = Urb(_BULK_IN, True, bytes(8), b"", _READ_BYTES, HOST_DRIVER, self._received)
            self.device.submit(self._incoming)

    def _received(self, status: int, data: bytes) -> None:
        self._incoming = None
        if status == 0 and self._is_open:
            self._unread += data
            # not at once: a board that always has something would never let anybody else run
            self._loop.call_soon(self._write_tty)

    def _write_tty(self) -> None:
        if not self._is_open:
            return
        try:
            written = os.write(self._master, self._unread) if self._unread else 0
        except OSError:  # full, or just closed
            if self._is_hung_up():
                self._closed()  # the reader would not tell while the board takes nothing
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
    """The driver does not look at this answer."""
