"""While a power sequence waits, the board does nothing else."""

from __future__ import annotations

import pytest

from tests.support.board_bench import IN, OUT, POWER, POWER_ON, READ, REFRESH, BoardBench


def busy_bench(program: bytes = b"p1,w20") -> BoardBench:
    """A board in the middle of an on-program."""
    bench = BoardBench()
    bench.set_config(3, program)
    bench.control(OUT, POWER, POWER_ON)
    return bench


def test_busy_board_answers_no_control_request() -> None:
    bench = busy_bench()
    waiting = bench.control(IN, READ, 0, data=64)

    bench.clock.advance(1.99)
    early = waiting.status
    bench.clock.advance(0.02)

    assert (early, waiting.status, waiting.ended_at_s) == (None, 0, pytest.approx(2.0))


def test_busy_board_moves_no_console_byte() -> None:
    bench = BoardBench()
    bench.set_config(3, b"w20")
    bench.board.uart_from_dut(b"before")
    bench.control(OUT, POWER, POWER_ON)

    transfers = [bench.receive(), bench.send(b"x")]
    during = [transfer.status for transfer in transfers]
    bench.clock.advance(2.1)

    assert during == [None, None]
    assert [transfer.status for transfer in transfers] == [0, 0]


def test_busy_board_executes_waiting_requests_in_order_afterwards() -> None:
    bench = busy_bench()
    ended: list[int] = []
    transfers = [bench.control(OUT, REFRESH) for _ in range(3)]
    for number, transfer in enumerate(transfers):
        urb = transfer.urb
        assert urb is not None
        urb.complete = lambda _status, _data, number=number: ended.append(number)

    bench.clock.advance(2.1)

    assert ended == [0, 1, 2]


def test_request_cancelled_while_it_waits_is_never_executed() -> None:
    bench = busy_bench()
    force_off = bench.control(OUT, POWER, 2)

    cancelled = bench.board.cancel(force_off.urb)
    bench.clock.advance(3)

    assert (cancelled, force_off.ends, bench.state["supply"]) == (True, 0, True)


def test_finished_transfer_cannot_be_cancelled() -> None:
    bench = BoardBench()
    finished = bench.control(OUT, REFRESH)

    assert not bench.board.cancel(finished.urb)


def test_second_program_waits_for_the_first() -> None:
    bench = busy_bench(b"w10,p1")
    second = bench.control(OUT, POWER, POWER_ON)

    bench.clock.advance(1.5)

    assert second.ended_at_s == pytest.approx(1.0)
    assert bench.state["busy_s"] == pytest.approx(0.5)


def test_bus_reset_waits_for_the_program() -> None:
    bench = busy_bench()
    bench.control(0x00, 9, 1, 0)

    bench.board.reset()
    bench.clock.advance(2.1)

    assert bench.control(0x80, 8, 0, 0, 1).data == b"\x00"


def test_unplugging_ends_waiting_transfers() -> None:
    bench = busy_bench()
    waiting = [
        bench.control(OUT, REFRESH),
        bench.receive(),
        bench.send(b"x"),
        bench.submit(1, is_in=True, length=8),
    ]

    bench.board.power_loss()

    assert [(transfer.status, transfer.ends) for transfer in waiting] == [(-108, 1)] * 4


def test_board_without_power_ends_every_transfer_at_once() -> None:
    bench = BoardBench()

    bench.board.power_loss()

    assert bench.control(OUT, REFRESH).status == -108


def test_program_of_the_shell_waits_in_the_same_way() -> None:
    bench = BoardBench()
    bench.set_config(3, b"p1,w20")
    bench.enter_shell()
    bench.send(b"power on\r")

    waiting = bench.control(OUT, REFRESH)
    bench.clock.advance(2.1)

    assert waiting.ended_at_s == pytest.approx(2.1)
    assert bench.drain().endswith(b"power on\r\nDevice powered on\r\n#> ")


def test_unread_shell_output_blocks_the_board() -> None:
    bench = BoardBench()
    bench.enter_shell()

    bench.send(b"help\rhelp\r")

    assert bench.control(OUT, REFRESH).status is None
    assert bench.state["blocked"]


def test_reading_unblocks_the_board() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.send(b"help\rhelp\r")
    waiting = bench.control(OUT, REFRESH)

    output = bench.drain()

    assert waiting.status == 0
    assert output.count(b"print this help") == 2


def test_dut_output_is_lost_while_the_board_waits_for_the_host_to_read() -> None:
    bench = BoardBench()
    bench.enter_shell()
    bench.shell("monitor on")
    bench.send(b"help\rhelp\r")

    bench.board.uart_from_dut(b"lost")

    assert b"lost" not in bench.drain()


def test_host_that_answers_each_transfer_with_the_next_one_is_served() -> None:
    bench = BoardBench()
    versions: list[bytes] = []

    def ask_again(_status: int, data: bytes) -> None:
        versions.append(data)
        if len(versions) < 2000:
            urb.complete = ask_again
            bench.board.submit(urb)

    urb = bench.control(IN, READ, 0, data=4).urb
    assert urb is not None
    urb.complete = ask_again
    bench.board.submit(urb)

    assert versions == [b"0.09"] * 2000


def test_board_unplugged_by_an_answer_does_no_more_work() -> None:
    bench = BoardBench()
    urb = bench.control(OUT, POWER, 2).urb
    assert urb is not None
    urb.setup = bytes.fromhex("41 01 0300 0300 0000")
    urb.complete = lambda _status, _data: bench.board.power_loss()

    bench.board.submit(urb)

    assert bench.dut.supplies == []
