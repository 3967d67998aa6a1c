"""One board's meter, shared by any number of clients that stream its readings.

Jumpstarter's client never ends a stream of readings: the stream lives as long as the client's connection. A
client that takes a single reading now and then leaves one stream open each time. So only the first reading of
a stream is made for that stream; after it the stream sleeps until a reading made for all streams has changed.
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

_INTERVAL_S = 0.5


class SharedMeter:
    """One board's meter. For use in the event loop that serves its clients.

    Args:
        read: Reads the meter; may block, and raises `HilError` if reading fails.
        try_read: Reads the meter within a few milliseconds, or returns None.
    """

    def __init__(self, read: Callable[[], PowerReading], try_read: Callable[[], PowerReading | None]) -> None:
        self._read = read
        self._try_read = try_read
        self._last: PowerReading | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    async def read(self) -> PowerReading:
        """Return a fresh reading; a thread is used only if the board does not answer at once."""
        reading = self._try_read()
        if reading is None:
            reading = await run_in_thread(self._read)
        self._store(reading)
        return reading

    async def wait_for_change(self, last: PowerReading) -> PowerReading:
        """Wait until the meter reads something other than `last`, and return that.

        The meter is read every half second, however many clients wait.

        Raises:
            HilError: The meter cannot be read.
        """
        while self._last is None or self._last == last:
            with self._change() as change:
                await change
        return self._last

    @contextmanager
    def _change(self) -> Iterator[asyncio.Future[None]]:
        """Provide a future that the next change resolves; poll the meter while there is such a future."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(change)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        try:
            yield change
        finally:
            self._waiting.discard(change)
            if not self._waiting and self._polling is not None:
                self._polling.cancel()
                self._polling = None

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            try:
                self._store(await run_in_thread(self._read))
            except Exception as error:  # noqa: BLE001 - the waiting clients get it
                self._notify(error)

    def _store(self, reading: PowerReading) -> None:
        if reading != self._last:
            self._last = reading
            self._notify()

    def _notify(self, error: Exception | None = None) -> None:
        for change in self._waiting:
            if change.done():
                continue
            if error is None:
                change.set_result(None)
            else:
                change.set_exception(error)
