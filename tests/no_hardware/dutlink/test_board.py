from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from hil.errors import BoardLostError, TransferError

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from tests.support.fake_bus import FakeBoard

SAFE = [(1, 2, b""), (2, 0, b""), *((5, value, b"\2") for value in (1, 2, 3, 4, 0))]


def test_make_safe_cuts_power_detaches_the_stick_and_floats_the_pins(board: Board, fake: FakeBoard) -> None:
    board.make_safe()

    assert fake.done == SAFE


def test_make_safe_tries_all_steps_and_raises_the_first_error(board: Board, fake: FakeBoard) -> None:
    fake.errors.append(errno.EIO)

    with pytest.raises(TransferError):
        board.make_safe()

    assert fake.done == SAFE[1:]


def test_make_safe_tries_all_steps_if_a_test_broke_one(board: Board, fake: FakeBoard) -> None:
    board.power._report = None  # type: ignore[assignment]

    with pytest.raises(TypeError):
        board.make_safe()

    assert fake.done == SAFE[1:]


@pytest.mark.parametrize("noun", ["power", "pins", "settings", "storage", "console"])
def test_board_refuses_to_replace_a_noun(board: Board, noun: str) -> None:
    with pytest.raises(AttributeError, match=f"{noun} of .* cannot be replaced"):
        setattr(board, noun, object())


def test_make_safe_does_not_call_a_replaced_method_of_the_console(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board.console, "ensure_console_mode", lambda: pytest.fail("it was asked"))

    board.make_safe()


def test_make_safe_of_an_unplugged_board_raises_board_lost_error(board: Board, fake: FakeBoard) -> None:
    fake.always = errno.ENODEV

    with pytest.raises(BoardLostError):
        board.make_safe()
