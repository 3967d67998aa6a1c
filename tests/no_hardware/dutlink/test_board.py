from __future__ import annotations

import errno
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest

from hil.dutlink.board import Board, make_board_safe
from hil.dutlink.pins import Pins
from hil.dutlink.power.power import Power
from hil.dutlink.storage.stick_mux import StickMux
from hil.dutlink.storage.storage import Storage
from hil.dutlink.usb.control_link import ControlLink
from hil.dutlink.usb.protocol import Request
from hil.dutlink.usb.safe_requests import SafeProof
from hil.errors import BoardLostError, BoardReplyError, TransferError

if TYPE_CHECKING:
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

    assert sorted(fake.done) == sorted(SAFE)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Board, "make_safe"),
        (Power, "force_off"),
        (Pins, "floating"),
        (Pins, "float_all"),
        (Storage, "off"),
        (StickMux, "set_position"),
        (ControlLink, "control_out"),
        (ControlLink, "_transfer"),
        (ControlLink, "_control"),
    ],
)
def test_make_board_safe_sends_each_request_although_a_method_is_replaced(
    board: Board, fake: FakeBoard, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    monkeypatch.setattr(owner, name, MagicMock())

    proof = make_board_safe(board)

    assert sorted(fake.done) == sorted(SAFE)
    assert proof == SafeProof(board.serial)


def test_make_board_safe_sends_again_what_the_board_accepted_earlier(board: Board, fake: FakeBoard) -> None:
    make_board_safe(board)

    make_board_safe(board)

    assert fake.done == [*SAFE, *SAFE]


def test_make_board_safe_leaves_the_stick_if_it_is_told_so(board: Board, fake: FakeBoard) -> None:
    make_board_safe(board, leave_stick=True)

    assert fake.done == [one for one in SAFE if one[0] != Request.STORAGE]


def test_make_board_safe_gives_no_proof_for_a_device_that_was_replaced(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board.safe_requests, "_device", MagicMock())

    with pytest.raises(BoardReplyError):
        make_board_safe(board)


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
