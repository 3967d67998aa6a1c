"""Console mode: the port is the DUT's UART until five Ctrl-B come in a row."""

from __future__ import annotations

import pytest

from tests.support.board_bench import OUT, REFRESH, BoardBench

LEFT = b"\r\nExiting console mode\r\n#> "
CTRL_B = b"\x02"


def test_bytes_from_the_host_reach_the_dut() -> None:
    bench = BoardBench()

    bench.send(b"uname\r")
    bench.clock.advance(0.01)

    assert bench.dut.received == b"uname\r"


def test_bytes_from_the_dut_reach_the_host() -> None:
    bench = BoardBench()

    bench.board.uart_from_dut(b"login: ")

    assert bench.drain() == b"login: "


def test_waiting_read_ends_with_the_first_byte() -> None:
    bench = BoardBench()
    waiting = bench.receive()

    bench.board.uart_from_dut(b"x")

    assert (waiting.status, waiting.data) == (0, b"x")


def test_long_read_gathers_full_packets_until_a_short_one() -> None:
    bench = BoardBench()
    bench.board.uart_from_dut(b"!" + b"x" * 200)
    first = bench.receive(512)

    second = bench.receive(512)

    assert (first.data, second.data) == (b"!", b"x" * 200)


def test_output_that_fills_its_last_packet_is_followed_by_an_empty_one() -> None:
    bench = BoardBench()
    bench.board.uart_from_dut(b"!" + b"x" * 64)

    packets = [bench.receive(64).data for _ in range(3)]

    assert packets == [b"!", b"x" * 64, b""]


def test_after_ten_full_packets_comes_one_of_63_bytes() -> None:
    bench = BoardBench()
    bench.board.uart_from_dut(b"!" + b"x" * 1000)

    sizes = [len(bench.receive(64).data) for _ in range(13)]

    assert sizes == [1, *[64] * 10, 63, 64]


def test_read_without_room_for_a_packet_overflows() -> None:
    bench = BoardBench()
    bench.board.uart_from_dut(b"!" + b"x" * 64)
    bench.receive(64)

    assert bench.receive(10).status == -75


def test_host_that_does_not_read_loses_the_newest_output() -> None:
    bench = BoardBench()
    output = bytes(index % 251 for index in range(3000))

    bench.board.uart_from_dut(output)

    assert bench.drain() == output[: 1 + 1024]


def test_old_output_waits_for_a_host_that_comes_late() -> None:
    bench = BoardBench()
    bench.board.uart_from_dut(b"long ago")

    bench.clock.advance(1000)

    assert bench.drain() == b"long ago"


def test_bus_reset_drops_unread_output() -> None:
    bench = BoardBench()
    bench.board.uart_from_dut(b"long ago")

    bench.board.reset()

    assert bench.drain() == b""


def test_five_ctrl_b_in_a_row_leave_for_the_shell() -> None:
    bench = BoardBench()

    bench.send(CTRL_B * 5)

    assert bench.drain() == LEFT
    assert not bench.state["console_mode"]


def test_five_ctrl_b_and_the_rest_of_their_read_go_to_the_dut() -> None:
    bench = BoardBench()

    bench.send(CTRL_B * 5 + b"version\r")
    bench.clock.advance(0.1)

    assert bench.dut.received == CTRL_B * 5 + b"version\r"
    assert bench.drain() == LEFT


def test_ctrl_b_counts_across_transfers() -> None:
    bench = BoardBench()

    for _ in range(5):
        bench.send(CTRL_B)

    assert bench.drain() == LEFT


def test_other_byte_restarts_the_count_of_ctrl_b() -> None:
    bench = BoardBench()

    bench.send(CTRL_B * 4 + b"x" + CTRL_B * 4)

    assert bench.state["console_mode"]


def test_ten_ctrl_b_in_one_read_leave_twice() -> None:
    bench = BoardBench()

    bench.send(CTRL_B * 10)

    assert bench.drain() == LEFT * 2


def test_surplus_ctrl_b_count_for_the_next_time() -> None:
    bench = BoardBench()
    bench.send(CTRL_B * 7)
    bench.drain()
    bench.shell("console")

    bench.send(CTRL_B * 3)

    assert bench.drain() == LEFT


def test_leaving_console_mode_switches_the_monitor_off() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.shell("monitor on")
    bench.shell("console")

    bench.enter_shell()

    assert not bench.state["monitor"]


def test_shell_drops_the_duts_output() -> None:
    bench = BoardBench()
    bench.enter_shell()

    bench.board.uart_from_dut(b"lost")

    assert bench.drain() == b""


def test_monitor_shows_the_duts_output_in_the_shell() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.shell("monitor on")

    bench.board.uart_from_dut(b"seen")

    assert bench.drain() == b"seen"


def test_meter_puts_a_reading_after_each_return() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.shell("meter on")
    bench.shell("console")

    bench.board.uart_from_dut(b"one\r\ntwo\r\n")

    assert bench.drain() == b"one\r0.00W> \ntwo\r0.00W> \n"


def test_console_mode_outlives_a_bus_reset_and_ends_with_the_power() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.board.reset()
    after_reset = bench.state["console_mode"]

    bench.board.power_loss()
    bench.board.power_up()

    assert (after_reset, bench.state["console_mode"]) == (False, True)


def test_plugging_in_a_board_that_has_power_changes_nothing() -> None:
    bench = BoardBench()
    bench.enter_shell()

    bench.board.power_up()

    assert not bench.state["console_mode"]


def test_filter_set_while_unplugged_counts_afterwards() -> None:
    bench = BoardBench()
    bench.board.power_loss()
    bench.board.console_filter = bytes.upper

    bench.board.power_up()
    bench.board.uart_from_dut(b"garbled")

    assert bench.drain() == b"GARBLED"


def test_unplugged_board_tells_that_everything_is_off() -> None:
    bench = BoardBench()
    bench.control(OUT, 2, 1)

    bench.board.power_loss()

    state = bench.state
    assert (state["supply"], state["mux"], state["busy_s"]) == (False, "off", 0.0)
    assert set(state["pins"].values()) == {"floating"}


def test_filter_sees_every_byte_to_the_host() -> None:
    bench = BoardBench()
    bench.board.console_filter = bytes.upper

    bench.board.uart_from_dut(b"garbled")

    assert bench.drain() == b"GARBLED"


def test_more_than_the_board_can_hold_waits_at_the_host() -> None:
    bench = BoardBench()

    transfer = bench.send(b"p" * 4096)

    assert transfer.status is None


def test_waiting_bytes_are_taken_as_the_uart_empties_the_queue() -> None:
    bench = BoardBench()
    transfer = bench.send(b"p" * 4096)

    bench.clock.advance(1.0)

    assert transfer.status == 0


def test_last_bytes_of_a_flood_wait_for_the_next_transfer() -> None:
    bench = BoardBench()
    bench.send(b"p" * 1500)
    bench.clock.advance(1.0)
    stuck = len(bench.dut.received)

    bench.control(OUT, REFRESH)
    bench.clock.advance(1.0)

    assert stuck < 1500
    assert len(bench.dut.received) == 1500


@pytest.mark.parametrize("taken", [0, 0.05])
def test_transfer_that_waits_can_be_cancelled(taken: float) -> None:
    bench = BoardBench()
    transfer = bench.send(b"p" * 4096)
    bench.clock.advance(taken)

    cancelled = bench.board.cancel(transfer.urb)
    bench.clock.advance(10)

    assert (cancelled, transfer.ends) == (True, 0)
