from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from hil.errors import BoardLostError, TransferError

if TYPE_CHECKING:
    from fake_bus import FakeBoard

    from hil.dutlink.board import Board

SAFE = [(1, 2, b""), (2, 0, b""), *((5, value, b"\2") for value in (1, 2, 3, 4, 0))]


def test_making_it_safe_cuts_power_takes_the_stick_and_floats_the_pins(board: Board, fake: FakeBoard) -> None:
    board.make_safe()

    assert fake.done == SAFE


def test_making_it_safe_goes_on_after_an_error_and_raises_it_then(board: Board, fake: FakeBoard) -> None:
    fake.errors.append(errno.EIO)

    with pytest.raises(TransferError):
        board.make_safe()

    assert fake.done == SAFE[1:]


def test_a_board_that_is_gone_is_lost(board: Board, fake: FakeBoard) -> None:
    fake.always = errno.ENODEV

    with pytest.raises(BoardLostError):
        board.make_safe()
