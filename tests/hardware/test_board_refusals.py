"""What the board itself refuses: a STALL, and it goes on (firmware: control.rs)."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, cast

import pytest

from hil.dutlink.usb.protocol import PinValue, ReadKey, Request
from hil.errors import RequestStalledError

if TYPE_CHECKING:
    from hil.dutlink.usb.control_link import ControlLink


class Unheard(enum.IntEnum):
    """The first request that no firmware knows."""

    REQUEST = 6


@pytest.mark.parametrize(
    ("request_", "value"),
    [(Request.POWER, 5), (Request.STORAGE, 3), (Request.CONFIG, 6), (Request.SET_PIN, 5)],
    ids=["power", "storage", "config", "pin"],
)
def test_a_value_that_is_none_is_refused(link: ControlLink, request_: Request, value: int) -> None:
    with pytest.raises(RequestStalledError):
        link.control_out(request_, value, b"\x02" if request_ is Request.SET_PIN else b"")


@pytest.mark.parametrize(
    ("request_", "value"), [(Request.READ, 4), (Request.CONFIG, 6)], ids=["reading", "setting"]
)
def test_a_question_that_is_none_is_refused(link: ControlLink, request_: Request, value: int) -> None:
    with pytest.raises(RequestStalledError):
        link.control_in(request_, value)


def test_a_pin_level_that_is_none_is_refused(link: ControlLink) -> None:
    with pytest.raises(RequestStalledError):
        link.control_out(Request.SET_PIN, PinValue.D, b"\x03")


def test_an_unknown_request_is_refused(link: ControlLink) -> None:
    with pytest.raises(RequestStalledError):
        link.control_out(cast("Request", Unheard.REQUEST))


def test_an_unknown_question_is_refused(link: ControlLink) -> None:
    with pytest.raises(RequestStalledError):
        link.control_in(cast("Request", Unheard.REQUEST), 0)


def test_a_board_answers_right_after_a_refusal(link: ControlLink) -> None:
    with pytest.raises(RequestStalledError):
        link.control_in(Request.READ, 4)

    assert link.control_in(Request.READ, ReadKey.VERSION)
