"""A board's meter, for any number of clients that watch it.

Jumpstarter's client never says that it has seen enough: a stream of readings lives as long as its connection.
Whoever takes one reading now and then leaves a stream behind each time. So only the first reading of a stream
is made for it; then it sleeps until one that is made for all of them shows a change.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.jumpstarter.protocol.threads import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.dutlink.power.reading import PowerReading

__all__ = ["SharedMeter"]

_READ_EVERY_S = 0.5


class SharedMeter:
    """One board's meter. Only for the event loop that serves its clients.

    Args:
        read: Asks the board; raises `HilError` as that can fail.
        try_read: Asks it if it answers within a few milliseconds; None: it does not, or who knows why.
    """

    def __init__(self, read: Callable[[], PowerReading], try_read: Callable[[], PowerReading | None]) -> None:
        self._read = read
        self._read_at_once = try_read
        self._last: PowerReading | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._pace: asyncio.Task[None] | None = None

    async def read(self) -> PowerReading:
        """What it reads now; a board that answers at once is not worth a thread."""
        reading = self._read_at_once()
        if reading is None:
            reading = await run_in_thread(self._read)
        self._saw(reading)
        return reading

    async def wait_for_change(self, told: PowerReading) -> PowerReading:
        """Wait until it reads anything else than `told`; it is read every half second, whoever waits.

        Raises:
            HilError: The board cannot be asked any more.
        """
        while self._last is None or self._last == told:
            with self._waits() as change:
                await change
        return self._last

    @contextmanager
    def _waits(self) -> Iterator[asyncio.Future[None]]:
        """Be one of those who are told of a change; while there is one, the meter is read."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(change)
        if self._pace is None:
            self._pace = asyncio.create_task(self._read_on())
        try:
            yield change
        finally:
            self._waiting.discard(change)
            if not self._waiting and self._pace is not None:
                self._pace.cancel()
                self._pace = None

    async def _read_on(self) -> None:
        while True:
            await asyncio.sleep(_READ_EVERY_S)
            try:
                self._saw(await run_in_thread(self._read))
            except Exception as error:  # noqa: BLE001 - it belongs to who waits
                self._tell(error)

    def _saw(self, reading: PowerReading) -> None:
        if reading != self._last:
            self._last = reading
            self._tell()

    def _tell(self, error: Exception | None = None) -> None:
        for change in self._waiting:
            if change.done():
                continue
            if error is None:
                change.set_result(None)
            else:
                change.set_exception(error)
