from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.power.power import PowerEvent
from hil.dutlink.power.reading import PowerReading
from hil.dutlink.usb.protocol import PowerAction
from hil.errors import BoardFaultError, BoardReplyError, BoardTimeoutError

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from tests.support.fake_bus import FakeBoard


@pytest.mark.parametrize(
    ("verb", "value"), [("off", 0), ("on", 1), ("force_off", 2), ("force_on", 3), ("rescue", 4)]
)
def test_power_methods_send_their_requests(board: Board, fake: FakeBoard, verb: str, value: int) -> None:
    getattr(board.power, verb)()

    assert fake.done == [(1, value, b"")]


def test_on_sends_a_request_that_repeats_the_last_one(board: Board, fake: FakeBoard) -> None:
    board.power.on()
    board.power.on()

    assert fake.done == [(1, 1, b"")] * 2


def test_read_takes_a_new_snapshot(board: Board, fake: FakeBoard) -> None:
    fake.power = b"5.35W 5.10V 1.05A"

    reading = board.power.read()

    assert reading == PowerReading(volts=5.10, amps=1.05, watts=5.35)
    assert fake.requests == [(0, 0, b"")]


def test_read_raises_board_reply_error_for_garbage(board: Board, fake: FakeBoard) -> None:
    fake.power = b"\xff\xff"

    with pytest.raises(BoardReplyError):
        board.power.read()


def test_try_read_returns_a_new_reading_if_the_board_answers(board: Board, fake: FakeBoard) -> None:
    fake.power = b"5.35W 5.10V 1.05A"

    reading = board.power.try_read(limit_s=0.02)

    assert reading == PowerReading(volts=5.10, amps=1.05, watts=5.35)
    assert fake.requests == [(0, 0, b"")]
    assert fake.limits_ms[-2:] == [20, 20]


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EPIPE, errno.ENODEV])
def test_try_read_returns_none_if_the_board_does_not_answer(
    board: Board, fake: FakeBoard, number: int
) -> None:
    fake.errors.append(number)

    assert board.power.try_read(limit_s=0.02) is None
    assert board.power.read()


def test_try_read_sends_nothing_during_a_sequence(board: Board, fake: FakeBoard) -> None:
    fake.settings[3] = b"p1,w40"
    board.power.on(wait=False)
    fake.limits_ms.clear()

    assert board.power.try_read(limit_s=0.02) is None
    assert fake.limits_ms == []


def test_try_read_sends_nothing_while_another_thread_has_the_lock(board: Board, fake: FakeBoard) -> None:
    with board._link.lock, ThreadPoolExecutor(1) as other:
        assert other.submit(board.power.try_read, 0.02).result() is None

    assert fake.requests == []


def test_cycle_is_off_then_on(board: Board, fake: FakeBoard) -> None:
    board.power.cycle(wait_s=0.0)

    assert fake.done == [(1, 0, b""), (1, 1, b"")]


def test_on_reads_the_stored_sequence_for_its_limit(board: Board, fake: FakeBoard) -> None:
    board.settings.read()
    fake.settings[3] = b"p1,bL,w150,bZ"

    board.power.on()

    assert 10_000 <= fake.limits_ms[-1] <= 20_750


def test_on_raises_board_timeout_error_if_the_board_hangs(board: Board, fake: FakeBoard) -> None:
    def hang(request: int, _: int) -> None:
        if request == 1:
            fake.always = errno.ETIMEDOUT

    fake.on_request = hang

    with pytest.raises(BoardTimeoutError, match=r"within 2\.0 s"):
        board.power.on()


def test_wait_until_off_judges_by_current(board: Board, fake: FakeBoard) -> None:
    fake.power = b"0.05W 5.10V -0.01A"

    assert board.power.wait_until_off(timeout_s=0.0).amps == -0.01


def test_wait_until_off_error_names_the_current(board: Board, fake: FakeBoard) -> None:
    fake.power = b"5.35W 5.10V 1.05A"

    with pytest.raises(BoardFaultError, match=r"1\.05 A"):
        board.power.wait_until_off(timeout_s=0.0)


def test_wait_until_off_subtracts_the_offset(board: Board, fake: FakeBoard) -> None:
    fake.power = b"0.51W 5.10V 0.10A"

    assert board.power.wait_until_off(timeout_s=0.0, offset_amps=0.1)


def falling(fake: FakeBoard, *amps: float) -> None:
    """Have the board answer these currents, each in one snapshot; the last one from then on."""
    left = list(amps)

    def answer(_request: int, _value: int) -> None:
        fake.power = b"0.00W 5.10V %.2fA" % (left.pop(0) if len(left) > 1 else left[0])

    fake.on_request = answer


@pytest.mark.parametrize(
    ("amps", "is_on"),
    [((0.60, 0.40, 0.20, 0.02), False), ((0.60, 0.58, 0.62), True), ((0.60,), True), ((0.02,), False)],
    ids=["off just now", "on just now", "steady", "off"],
)
def test_draws_takes_a_draw_that_falls_to_nothing_for_a_dut_without_power(
    board: Board, fake: FakeBoard, amps: tuple[float, ...], is_on: bool
) -> None:
    falling(fake, *amps)

    assert board.power.draws() is is_on


def test_draws_reads_once_if_the_supply_was_not_switched_lately(board: Board, fake: FakeBoard) -> None:
    falling(fake, 0.60, 0.02)
    board.power.unchanged_since(float("-inf"))

    assert board.power.draws()


def test_draws_believes_no_first_reading_after_a_request(board: Board, fake: FakeBoard) -> None:
    board.power.unchanged_since(float("-inf"))
    board.power.force_off()
    falling(fake, 0.60, 0.02)

    assert not board.power.draws()


BLIND = "; blind for 0.3 s: its sequence lets no console byte through"


@pytest.mark.parametrize(
    ("event", "words", "starts_dut"),
    [
        (PowerEvent(PowerAction.ON), "power on", True),
        (PowerEvent(PowerAction.ON, 0.3), f"power on{BLIND}", True),
        (PowerEvent(PowerAction.ON, is_done=True), "power on is done", False),
        (PowerEvent(PowerAction.FORCE_ON), "power force-on", True),
        (PowerEvent(PowerAction.RESCUE, 0.3), f"power rescue{BLIND}", True),
        (PowerEvent(PowerAction.OFF), "power off", False),
        (PowerEvent(PowerAction.FORCE_OFF), "power force-off", False),
    ],
)
def test_power_event_says_what_happens_and_whether_the_dut_may_start(
    event: PowerEvent, words: str, starts_dut: bool
) -> None:
    assert (str(event), event.starts_dut) == (words, starts_dut)
