"""A console of an exporter as a tty of this machine: a pty whose other end is Jumpstarter's stream.

The stream is open exactly while somebody has the pty open. When it ends, the pty goes away under whoever has
it, as the tty of a board that is unplugged does, and another one takes its place; none does when the exporter
is lost.
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

_LOOK_EVERY_S = 0.01
_READ_BYTES = 65536


class RemoteConsole:
    """One console.

    Args:
        connection: The way to the exporter.
        method: The stream of its console driver.
        node: Where the tty appears, a link.
    """

    def __init__(self, connection: ExporterConnection, method: str, node: Path) -> None:
        self._connection = connection
        self._method = method
        self._node = node
        self._master = self._make()
        self._tasks = [
            connection.portal.start_task_soon(act) for act in (self._serve, self._vanish_when_lost)
        ]

    def close(self) -> None:
        """End the stream, and let the tty go."""
        for task in self._tasks:
            task.cancel()
        self._node.unlink(missing_ok=True)

    def _make(self) -> int:
        """Make a raw pty that nobody has open, and let it appear."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        fresh = self._node.with_name(f".{self._node.name}.new")
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self._node)
        os.close(slave)
        return master

    async def _serve(self) -> None:
        """Run in the portal's loop until `close`."""
        try:
            while not self._connection.lost_reason:
                while not self._is_open():  # noqa: ASYNC110 - nothing wakes a master when its slave is opened
                    await anyio.sleep(_LOOK_EVERY_S)
                if not await self._carry() and not self._connection.lost_reason:
                    self._hang_up()
                    self._master = self._make()
        finally:
            self._hang_up()

    async def _vanish_when_lost(self) -> None:
        """Not left to `_serve`: a stream through a dark network may take long to end."""
        await self._connection.wait_until_lost()
        self._hang_up()
        self._node.unlink(missing_ok=True)

    def _hang_up(self) -> None:
        """Let the pty go away under whoever has it open."""
        master, self._master = self._master, -1
        if master >= 0:
            notify_closing(master)
            os.close(master)

    def _is_open(self) -> bool:
        if self._master < 0:
            return True  # lost meanwhile: there is nothing to wait for
        poller = select.poll()
        poller.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poller.poll(0))

    async def _carry(self) -> bool:
        """Carry bytes both ways; False when it was the stream that ended."""
        closed_here = False
        with suppress(Exception):  # a stream that fails has ended, whatever it says
            await self._connection.run_unless_lost(self._carry_both_ways)
            closed_here = True
        return closed_here

    async def _carry_both_ways(self) -> None:
        async with (
            self._connection.console.stream_async(self._method) as stream,
            create_task_group() as tasks,
        ):
            tasks.start_soon(self._carry_in, stream)
            await self._carry_out(stream)
            tasks.cancel_scope.cancel()

    async def _carry_out(self, stream: ObjectStream[bytes]) -> None:
        """What is written here goes to the DUT, until the pty is closed."""
        while True:
            await wait_readable(self._master)
            try:
                data = os.read(self._master, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:  # nobody has it open any more
                return
            await stream.send(data)

    async def _carry_in(self, stream: ObjectStream[bytes]) -> None:
        """What the DUT says appears here."""
        async for data in stream:
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._master, rest) :]
                except BlockingIOError:
                    await wait_writable(self._master)
        raise EOFError
