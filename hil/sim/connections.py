"""Connections to one TCP port of the simulator, with limits on their number and on the time for each message.

Any program of the host can reach the ports: one that connects and sends nothing, one that sends a byte now
and then, or one that connects a thousand times. The limits end such connections and no others. A port is full
only when each of its connections has imported a device or has sent the simulator's token.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

__all__ = ["LONGEST_MESSAGE_S", "MOST_CONNECTIONS", "Connection", "Connections"]

MOST_CONNECTIONS: Final = 256
"""Limit for each port. A further connection ends the oldest guest. Most systems give a process 1024
descriptors."""

LONGEST_MESSAGE_S: Final = 20.0
"""Seconds for a whole message, counted from its first byte, or from connecting."""


class Connections:
    """All connections of one port. A connection without a device and without the token is a guest."""

    def __init__(self) -> None:
        self._all: dict[Connection, None] = {}
        self._guests: dict[Connection, None] = {}

    def add(self, connection: Connection) -> bool:
        """Add a new connection as a guest; if the port is full, end the oldest guest.

        Returns:
            False if the port is full and has no guest.
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
        """Turn a guest into a connection that others cannot displace: it has a device or sent the token."""
        self._guests.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self._all.pop(connection, None)
        self._guests.pop(connection, None)

    def close(self) -> None:
        """End all connections after their written data have gone out."""
        for connection in tuple(self._all):
            connection.close()


class Connection(asyncio.Protocol):
    """One connection. A subclass takes messages out of `_received`.

    Args:
        connections: All connections of its port.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._received = bytearray()
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the time limit for the first message."""
        self._transport = cast("asyncio.Transport", transport)
        if self._connections.add(self):
            self._expect_message()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Remove the connection from its port."""
        self._connections.remove(self)
        self._cancel_deadline()

    def close(self) -> None:
        """End the connection after its written data have gone out."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _expect_message(self) -> None:
        """Limit the time for one whole message. The limit of a message that has begun stays as it is."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(LONGEST_MESSAGE_S, self.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
