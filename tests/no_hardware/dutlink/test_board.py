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


def test_making_it_safe_goes_on_after_a_test_has_spoilt_one_of_its_nouns(
    board: Board, fake: FakeBoard
) -> None:
    board.power._report = None  # type: ignore[assignment]

    with pytest.raises(TypeError):
        board.make_safe()

    assert fake.done == SAFE[1:]


@pytest.mark.parametrize("noun", ["power", "pins", "settings", "storage", "console"])
def test_a_noun_by_which_a_board_is_made_safe_cannot_be_replaced(board: Board, noun: str) -> None:
    with pytest.raises(AttributeError, match=f"{noun} of .* cannot be replaced"):
        setattr(board, noun, object())


def test_making_it_safe_does_not_ask_a_console_that_a_test_has_changed(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board.console, "ensure_console_mode", lambda: pytest.fail("it was asked"))

    board.make_safe()


def test_a_board_that_is_gone_is_lost(board: Board, fake: FakeBoard) -> None:
    fake.always = errno.ENODEV

    with pytest.raises(BoardLostError):
        board.make_safe()
