"""Connections of one of the simulator's ports: bounded in number, and in the time for each message.

Any program of the host reaches the ports, also one that connects and says nothing, that sends a byte now and
then, or that connects a thousand times. Such a program loses its own connections. A port is full only when
all of its connections have a device or the simulator's token.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

__all__ = ["LONGEST_MESSAGE_S", "MOST_CONNECTIONS", "Connection", "Connections"]

MOST_CONNECTIONS: Final = 256
"""For each port. Beyond them the oldest guest is hung up on. Most systems give a process 1024 descriptors."""

LONGEST_MESSAGE_S: Final = 20.0
"""Seconds for a whole message, counted from its first byte, or from connecting."""


class Connections:
    """All connections of one port; those that have not shown what they are for are guests."""

    def __init__(self) -> None:
        self._all: dict[Connection, None] = {}
        self._guests: dict[Connection, None] = {}

    def add(self, connection: Connection) -> bool:
        """Add a new connection as a guest; if full, drop the oldest guest.

        Returns:
            Whether there is room for it.
        """
        if len(self._all) >= MOST_CONNECTIONS:
            oldest = next(iter(self._guests), None)
            if oldest is None:
                return False
            self.remove(oldest)
            oldest.abort()
        self._all[connection] = self._guests[connection] = None
        return True

    def keep(self, connection: Connection) -> None:
        """Keep a connection whatever comes: it has a device, or the simulator's token."""
        self._guests.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self._all.pop(connection, None)
        self._guests.pop(connection, None)

    def close(self) -> None:
        """End all of them; what is written goes out first."""
        for connection in tuple(self._all):
            connection.close()


class Connection(asyncio.Protocol):
    """One connection; a subclass takes messages out of `_received`.

    Args:
        connections: Those of its port.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._received = bytearray()
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)
        if self._connections.add(self):
            self._expect_message()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone."""
        self._connections.remove(self)
        self._cancel_deadline()

    def close(self) -> None:
        """End it, once what is written is out."""
        self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._transport.abort()

    def _expect_message(self) -> None:
        """Hang up unless the message is whole in time; the time of one that has begun goes on."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(LONGEST_MESSAGE_S, self.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
