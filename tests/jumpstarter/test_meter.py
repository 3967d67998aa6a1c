"""`SharedMeter`: one meter for all streams of readings."""

from __future__ import annotations

import asyncio
from functools import partial

from hil.dutlink.power.reading import PowerReading
from hil.errors import BoardLostError
from hil.jumpstarter.exporter.meter import SharedMeter

WATCHERS = 20


def reading(amps: float) -> PowerReading:
    return PowerReading(volts=5.0, amps=amps, watts=5.0 * amps)


def busy() -> None:
    """A board that does not answer at once."""


class Board:
    """Returns the given readings one after the other, then the last one for ever."""

    def __init__(self, *answers: float) -> None:
        self._answers = list(answers)
        self.asked = 0

    def read(self) -> PowerReading:
        self.asked += 1
        return reading(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])


def test_read_returns_a_fresh_reading_for_each_stream() -> None:
    board = Board(0.1, 0.2)

    async def begin() -> list[PowerReading]:
        meter = SharedMeter(board.read, busy)
        return [await meter.read(), await meter.read()]

    assert asyncio.run(begin()) == [reading(0.1), reading(0.2)]


def test_read_uses_no_thread_if_the_board_answers_at_once() -> None:
    board = Board(0.1)

    async def begin() -> PowerReading:
        return await SharedMeter(board.read, partial(reading, 0.3)).read()

    assert asyncio.run(begin()) == reading(0.3)
    assert board.asked == 0


def test_wait_for_change_shares_readings_between_streams() -> None:
    board = Board(0.1, 0.1, 0.2)

    async def watch() -> list[PowerReading]:
        meter = SharedMeter(board.read, busy)
        first = await meter.read()
        return await asyncio.gather(*(meter.wait_for_change(first) for _ in range(WATCHERS)))

    assert asyncio.run(watch()) == [reading(0.2)] * WATCHERS
    assert board.asked == 1 + 2


def test_read_of_a_new_stream_wakes_waiting_streams() -> None:
    board = Board(0.1, 0.2)

    async def watch() -> PowerReading:
        meter = SharedMeter(board.read, busy)
        waiting = asyncio.ensure_future(meter.wait_for_change(await meter.read()))
        await meter.read()
        return await waiting

    assert asyncio.run(watch()) == reading(0.2)
    assert board.asked == 1 + 1


def test_meter_is_not_polled_without_waiting_streams() -> None:
    board = Board(0.1)

    async def leave() -> set[asyncio.Task[None]]:
        meter = SharedMeter(board.read, busy)
        waiting = asyncio.ensure_future(meter.wait_for_change(await meter.read()))
        await asyncio.sleep(0)  # it waits now
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert asyncio.run(leave()) == set()


def test_wait_for_change_raises_in_every_stream_when_the_board_is_lost() -> None:
    def lost() -> PowerReading:
        what = "it left the bus"
        raise BoardLostError(what)

    async def watch() -> list[PowerReading | BaseException]:
        meter = SharedMeter(lost, busy)
        streams = (meter.wait_for_change(reading(0.1)) for _ in range(2))
        return await asyncio.gather(*streams, return_exceptions=True)

    assert [type(ended) for ended in asyncio.run(watch())] == [BoardLostError, BoardLostError]
