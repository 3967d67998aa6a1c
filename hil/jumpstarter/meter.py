"""A board's meter, for any number of clients that watch it.

Jumpstarter's client never says that it has seen enough: a stream of readings lives as long as its connection.
Whoever takes one reading now and then leaves a stream behind each time, so what is repeated is shared; only
the first reading of a stream is always made for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import Lock, current_time, sleep

from hil.jumpstarter.hands import by_hand

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.reading import PowerReading

__all__ = ["Meter"]

_READ_EVERY_S = 0.5


class Meter:
    """One board's meter. Only for the event loop that serves its clients.

    Args:
        read: Asks the board; raises `HilError` as that can fail.
        read_at_once: Asks it if it answers within a few milliseconds; None: it does not, or who knows why.
    """

    def __init__(
        self, read: Callable[[], PowerReading], read_at_once: Callable[[], PowerReading | None]
    ) -> None:
        self._read = read
        self._read_at_once = read_at_once
        self._turn = Lock()
        self._last: PowerReading | None = None
        self._read_at_s = 0.0

    async def changed(self, told: PowerReading) -> PowerReading:
        """Wait until it reads anything else than `told`; asked every half second, whoever asks."""
        reading = told
        while reading == told:
            await sleep(_READ_EVERY_S)
            async with self._turn:
                is_old = current_time() - self._read_at_s >= _READ_EVERY_S
                reading = self._last if self._last is not None and not is_old else await self.now()
        return reading

    async def now(self) -> PowerReading:
        """What it reads now; a board that answers at once is not worth a thread."""
        asked_at_s = current_time()
        reading = self._read_at_once()
        if reading is None:
            reading = await by_hand(self._read)
        self._last, self._read_at_s = reading, asked_at_s
        return reading
