"""The console of an exporter as a tty of this machine: a pty that is connected to a stream of Jumpstarter.

The stream is open while a process has the pty open. When the stream ends, the pty hangs up like the tty of an
unplugged board, and a new pty takes its place, unless the exporter is lost.
"""

from __future__ import annotations

import os
import pty
import select
import tty
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio import create_task_group, notify_closing, wait_readable, wait_writable

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import ObjectStream

    from hil.jumpstarter.client.connection import ExporterConnection

__all__ = ["RemoteConsole"]

_INTERVAL_S = 0.01
_READ_BYTES = 65536


class RemoteConsole:
    """A remote console with its pty.

    Args:
        connection: Connection to the exporter.
        method: Name of the console driver's stream.
        node: Path of the tty, a symbolic link.
    """

    def __init__(self, connection: ExporterConnection, method: str, node: Path) -> None:
        self._connection = connection
        self._method = method
        self._node = node
        self._master = self._make_pty()
        self._tasks = [
            connection.portal.start_task_soon(act) for act in (self._serve, self._remove_when_lost)
        ]

    def close(self) -> None:
        """End the stream and remove the tty."""
        for task in self._tasks:
            task.cancel()
        self._node.unlink(missing_ok=True)

    def _make_pty(self) -> int:
        """Make a raw pty, link `node` to it, and return its master."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        fresh = self._node.with_name(f".{self._node.name}.new")
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self._node)
        os.close(slave)
        return master

    async def _serve(self) -> None:
        """Run in the portal's loop until `close` cancels it."""
        try:
            while not self._connection.lost_reason:
                while not self._is_open():  # noqa: ASYNC110 - no event tells a master that its slave is opened
                    await anyio.sleep(_INTERVAL_S)
                if not await self._forward() and not self._connection.lost_reason:
                    self._hang_up()
                    self._master = self._make_pty()
        finally:
            self._hang_up()

    async def _remove_when_lost(self) -> None:
        """Remove the tty at once when the exporter is lost; the stream of `_serve` may take long to end."""
        await self._connection.wait_until_lost()
        self._hang_up()
        self._node.unlink(missing_ok=True)

    def _hang_up(self) -> None:
        """Close the master: a process that has the pty open gets a hangup."""
        master, self._master = self._master, -1
        if master >= 0:
            notify_closing(master)
            os.close(master)

    def _is_open(self) -> bool:
        if self._master < 0:
            return True  # hung up by `_remove_when_lost`: there is nothing to wait for
        poller = select.poll()
        poller.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poller.poll(0))

    async def _forward(self) -> bool:
        """Forward bytes both ways; return True if the pty was closed, False if the stream ended."""
        closed_here = False
        with suppress(Exception):  # any error means that the stream has ended
            await self._connection.run_unless_lost(self._forward_both_ways)
            closed_here = True
        return closed_here

    async def _forward_both_ways(self) -> None:
        async with (
            self._connection.console.stream_async(self._method) as stream,
            create_task_group() as tasks,
        ):
            tasks.start_soon(self._forward_input, stream)
            await self._forward_output(stream)
            tasks.cancel_scope.cancel()

    async def _forward_output(self, stream: ObjectStream[bytes]) -> None:
        """Send to the DUT what is written to the pty, until the pty is closed."""
        while True:
            await wait_readable(self._master)
            try:
                data = os.read(self._master, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:  # no process has the pty open any more
                return
            await stream.send(data)

    async def _forward_input(self, stream: ObjectStream[bytes]) -> None:
        """Write to the pty what the DUT sends.

        Raises:
            EOFError: The stream has ended.
        """
        async for data in stream:
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._master, rest) :]
                except BlockingIOError:
                    await wait_writable(self._master)
        raise EOFError
