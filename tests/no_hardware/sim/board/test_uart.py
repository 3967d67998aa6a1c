"""The board's UART: its pace, its escapes, and lost bytes."""

from __future__ import annotations

import pytest

from tests.support.board_bench import OUT, POWER, POWER_ON, BoardBench

FRAME_S = 10 / 115200


def test_byte_takes_ten_bits_at_115200_baud() -> None:
    bench = BoardBench()

    bench.send(b"x")
    bench.clock.advance(0.01)

    assert bench.dut.arrivals == [(pytest.approx(FRAME_S), b"x")]


def test_many_bytes_arrive_at_the_pace_of_the_line() -> None:
    bench = BoardBench()
    bench.send(b"x" * 1000)

    bench.clock.advance(0.05)

    assert len(bench.dut.received) == pytest.approx(0.05 / FRAME_S, abs=46)


def test_bytes_arrive_in_order_and_once() -> None:
    bench = BoardBench()
    sent = bytes(index % 256 for index in range(900)).replace(b"\x02", b"-")

    bench.send(sent)
    bench.clock.advance(0.1)

    assert bench.dut.received == sent


def test_in_console_mode_a_backslash_is_a_backslash() -> None:
    bench = BoardBench()

    bench.send(rb"C:\new")
    bench.clock.advance(0.01)

    assert bench.dut.received == rb"C:\new"


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (r"a\r\n", b"a\r\n"),
        (r"\t\a\b\e", b"\t\x07\x08\x1b"),
        (r"\c\d", b"\x03\x04"),
        (r"\\n", rb"\n"),
        (r"\x\"", b'x"'),
        ("end\\", b"end"),
        ("two words ", b"two words "),
    ],
)
def test_send_knows_escapes(typed: str, sent: bytes) -> None:
    bench = BoardBench()
    bench.enter_shell()

    bench.shell(f"send {typed}")
    bench.clock.advance(0.1)

    assert bench.dut.received == sent


def test_wait_in_send_delays_what_follows_by_a_second() -> None:
    bench = BoardBench()
    bench.enter_shell()
    began_s = bench.clock.now()
    bench.dut.arrivals.clear()

    bench.shell(r"send a\wb")
    bench.clock.advance(2)

    times = [at_s - began_s for at_s, _ in bench.dut.arrivals]
    assert bench.dut.received == b"ab"
    assert times == pytest.approx([FRAME_S, 1 + FRAME_S], abs=0.005)


def test_wait_in_send_blocks_no_other_task() -> None:
    bench = BoardBench()
    bench.enter_shell()

    bench.shell(r"send a\wb")

    assert bench.shell("status") == "\r\nMonitor: false, Meter: false\r\n#> "


def test_wait_at_the_end_of_send_delays_what_comes_next() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.shell(r"send \w")
    bench.clock.advance(0.5)

    bench.shell("send x")
    bench.clock.advance(0.4)
    early = bytes(bench.dut.received)
    bench.clock.advance(0.2)

    assert (early, bench.dut.received) == (b"", b"x")


def test_wait_in_send_becomes_longer_by_a_program_that_waits() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.set_config(3, b"w10")
    began_s = bench.clock.now()

    bench.shell(r"send \wx")
    bench.control(OUT, POWER, POWER_ON)
    bench.clock.advance(3)

    at_s, data = bench.dut.arrivals[-1]
    assert (at_s - began_s, data) == (pytest.approx(2.0, abs=0.005), b"x")


def test_bytes_that_do_not_fit_the_queue_are_lost() -> None:
    bench = BoardBench()
    bench.enter_shell()
    for letter in "abc":
        bench.shell(f"send {letter * 500}")

    bench.clock.advance(1)

    assert bench.dut.received == b"a" * 500 + b"b" * 500 + b"c" * 26


def test_program_that_waits_lets_only_the_registers_run_empty() -> None:
    bench = BoardBench()
    bench.set_config(3, b"w10")
    bench.send(b"abcdefgh")
    bench.control(OUT, POWER, POWER_ON)

    bench.clock.advance(0.9)
    early = bytes(bench.dut.received)
    bench.clock.advance(0.2)

    assert (early, bench.dut.received) == (b"ab", b"abcdefgh")


def test_dut_output_is_lost_while_a_program_waits() -> None:
    bench = BoardBench()
    bench.set_config(3, b"w10")
    bench.control(OUT, POWER, POWER_ON)
    bench.board.uart_from_dut(b"lost")

    bench.clock.advance(2)
    bench.board.uart_from_dut(b"seen")

    assert bench.drain() == b"seen"


def test_single_byte_survives_a_program_that_waits() -> None:
    bench = BoardBench()
    bench.set_config(3, b"w10")
    bench.control(OUT, POWER, POWER_ON)
    bench.board.uart_from_dut(b"x")

    bench.clock.advance(2)

    assert bench.drain() == b"x"


def test_without_power_nothing_arrives_and_nothing_is_shown() -> None:
    bench = BoardBench()
    bench.send(b"x" * 100)

    bench.board.power_loss()
    bench.board.uart_from_dut(b"lost")
    bench.clock.advance(1)
    bench.board.power_up()

    assert (bench.dut.received, bench.drain()) == (b"", b"")
