from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.uart import BYTES_PER_S, DutTransmitter
from hil.sim.interfaces import NoTimer, Timer
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable


class LateClock:
    """A clock whose callbacks come `late_s` after they were due, as on a busy machine."""

    def __init__(self, late_s: float) -> None:
        self._time_s = 0.0
        self._late_s = late_s
        self._due: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self._time_s

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: object) -> Timer:
        self._due.append((max(0.0, delay_s), lambda: callback(*args)))
        return NoTimer()

    def run(self) -> None:
        while self._due:
            delay_s, callback = self._due.pop(0)
            self._time_s += delay_s + (self._late_s if delay_s else 0.0)
            callback()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def left() -> list[bytes]:
    return []


@pytest.fixture
def uart(clock: ManualClock, left: list[bytes]) -> DutTransmitter:
    return DutTransmitter(clock, left.append)


def test_uart_delivers_a_byte_after_its_last_bit(
    clock: ManualClock, uart: DutTransmitter, left: list[bytes]
) -> None:
    uart.send(b"x")
    clock.advance(0.9 / BYTES_PER_S)
    early = list(left)
    clock.advance(0.2 / BYTES_PER_S)

    assert (early, left) == ([], [b"x"])


def test_uart_sends_a_second_of_text_in_a_second(
    clock: ManualClock, uart: DutTransmitter, left: list[bytes]
) -> None:
    uart.send(bytes(2 * BYTES_PER_S))

    clock.advance(1.0)

    assert len(b"".join(left)) == pytest.approx(BYTES_PER_S, abs=60)


def test_uart_sends_chunks_of_at_most_five_milliseconds(
    clock: ManualClock, uart: DutTransmitter, left: list[bytes]
) -> None:
    uart.send(bytes(1000))

    clock.advance(1.0)

    assert max(map(len, left)) <= 0.005 * BYTES_PER_S


def test_uart_sends_two_texts_in_order(clock: ManualClock, uart: DutTransmitter, left: list[bytes]) -> None:
    uart.send(b"one ")
    uart.send(b"two")

    clock.advance(1.0)

    assert b"".join(left) == b"one two"


def test_uart_callback_comes_between_the_texts_around_it(
    clock: ManualClock, uart: DutTransmitter, left: list[bytes]
) -> None:
    uart.send(b"before")
    uart.then(lambda: left.append(b"|"))
    uart.send(b"after")

    clock.advance(1.0)

    assert b"".join(left) == b"before|after"


def test_uart_callback_on_an_idle_line_comes_at_once(uart: DutTransmitter, left: list[bytes]) -> None:
    uart.then(lambda: left.append(b"|"))

    assert left == [b"|"]


def test_uart_clear_drops_bytes_and_callbacks(
    clock: ManualClock, uart: DutTransmitter, left: list[bytes]
) -> None:
    uart.send(bytes(1000))
    uart.then(lambda: left.append(b"|"))
    uart.clear()

    clock.advance(1.0)

    assert left == []


def test_uart_callback_may_clear_and_send(
    clock: ManualClock, uart: DutTransmitter, left: list[bytes]
) -> None:
    def start_over() -> None:
        uart.clear()
        uart.send(b"new")

    uart.send(b"old ")
    uart.then(start_over)
    uart.send(b"forgotten")
    clock.advance(1.0)

    assert b"".join(left) == b"old new"


def test_uart_keeps_its_average_pace_in_a_late_process() -> None:
    clock = LateClock(late_s=0.002)
    uart = DutTransmitter(clock, lambda _: None)

    uart.send(bytes(BYTES_PER_S))
    clock.run()

    assert clock.now() == pytest.approx(1.0, abs=0.02)


def test_uart_counts_sent_bytes(clock: ManualClock, uart: DutTransmitter) -> None:
    uart.send(bytes(1000))
    uart.clear()
    uart.send(bytes(100))

    clock.advance(1.0)

    assert uart.sent_bytes == 100
