"""The board completes each transfer once and stays consistent, for random requests."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.board_bench import BoardBench, Transfer

REQUESTS = 100_000
BATCH = 1000
LINES = [b"help\r", b"get-config\r", b"\x1b[A", b"set-config json {}\r", b"power on\r", b"console\r"]
EVENTS = ["power", "unpower", "reset", "request", "console", "read", "wait"]


def any_setup(rng: random.Random) -> tuple[bytes, bytes]:
    """Half of the requests are meant for the board, half are noise."""
    kind = rng.choice((0x41, 0xC1, 0x41, 0xC1, 0x21, 0xA1, rng.randrange(256)))
    request = rng.choice((rng.randrange(7), rng.randrange(7), rng.randrange(256)))
    value = rng.choice((rng.randrange(7), rng.randrange(7), rng.randrange(65536)))
    index = rng.choice((3, 3, 3, 0, 2, 0x103, rng.randrange(65536)))
    if kind == 0x21 and index == 2:
        request = 1  # no DETACH, it would end the run
    length = rng.choice((0, 1, 7, 64, 255, 256))  # more stop USB
    if kind >= 0x80:
        length = rng.choice((length, 257, 512))
    setup = struct.pack("<BBHHH", kind, request, value, index, length)
    return setup, b"" if kind >= 0x80 else rng.randbytes(length)


def submit_any(bench: BoardBench, rng: random.Random) -> Transfer:
    setup, data = any_setup(rng)
    return bench.submit(0, is_in=setup[0] >= 0x80, setup=setup, data=data, length=len(data))


def settle(bench: BoardBench) -> None:
    """Let the board work off what it accepted: random programs wait up to 130 s."""
    while bench.state["busy_s"]:
        bench.clock.advance(bench.state["busy_s"])


@pytest.mark.thorough
@pytest.mark.timeout(60)
def test_hundred_thousand_random_control_requests_are_each_answered_once() -> None:
    rng = random.Random(20)  # noqa: S311  # noise, no secret
    bench = BoardBench()

    for _ in range(REQUESTS // BATCH):
        transfers = [submit_any(bench, rng) for _ in range(BATCH)]
        settle(bench)
        assert {(transfer.ends, transfer.status in {0, -32}) for transfer in transfers} == {(1, True)}
        assert bench.state["flash"]["blocks_used"] <= 16
        assert bench.state["supply"] is (bench.dut.supplies or [False])[-1]


def test_board_answers_after_random_requests_and_a_power_loss() -> None:
    rng = random.Random(21)  # noqa: S311  # noise, no secret
    bench = BoardBench()
    for _ in range(BATCH):
        submit_any(bench, rng)
    settle(bench)

    bench.board.power_loss()
    bench.board.power_up()

    assert bench.control(0xC1, 4, 1, data=64).data == b"0.00W 0.00V 0.00A"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_on_the_console_are_taken_without_an_error(chunks: list[bytes]) -> None:
    bench = BoardBench()

    transfers = [bench.send(chunk) for chunk in chunks]
    bench.drain()
    bench.clock.advance(300.0)
    bench.drain()
    bench.clock.advance(300.0)

    assert all(transfer.ends == 1 for transfer in transfers)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(LINES)), max_size=20))
def test_any_bytes_in_the_shell_are_taken_without_an_error(chunks: list[bytes]) -> None:
    bench = BoardBench()
    bench.enter_shell()

    transfers = []
    for chunk in chunks:
        transfers.append(bench.send(chunk))
        bench.drain()
        settle(bench)

    assert all(transfer.ends == 1 for transfer in transfers)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_every_transfer_ends_once_however_power_and_bus_behave(events: list[str]) -> None:
    bench = BoardBench()
    bench.set_config(3, b"p1,w30,p0")
    transfers: list[Transfer] = []

    for event in events:
        match event:
            case "power":
                bench.board.power_up()
            case "unpower":
                bench.board.power_loss()
            case "reset":
                bench.board.reset()
            case "request":
                transfers.append(bench.control(0x41, 1, 1))
            case "console":
                transfers.append(bench.send(b"help\r" * 30))
            case "read":
                transfers.append(bench.receive())
            case _:
                bench.clock.advance(1.0)
    bench.board.power_loss()

    assert [transfer.ends for transfer in transfers] == [1] * len(transfers)
