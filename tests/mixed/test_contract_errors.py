"""What goes wrong: one tree of errors, each with what, why and what to do, real board or simulated."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.timing import Deadline
from hil.dutlink.usb.protocol import ReadKey, Request
from hil.errors import (
    BoardAbsentError,
    ExpectError,
    HilError,
    RequestStalledError,
    SequenceError,
    SettingError,
    UsageError,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.pins import Pins

pytestmark = pytest.mark.mixed

NOBODY = "00000000"
"""A serial number that no board of this host has."""


def _error_of(act: Callable[[], object]) -> HilError:
    with pytest.raises(HilError) as caught:
        act()
    return caught.value


@pytest.fixture(autouse=True)
def _nothing_is_stored(dutlink: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings that ought to be refused away from the flash of a real board, should they not be."""
    send = dutlink._link.control_out

    def guarded(request: Request, value: int = 0, data: bytes = b"") -> None:
        assert request is not Request.CONFIG, "a setting was about to be written"
        send(request, value, data)

    monkeypatch.setattr(dutlink._link, "control_out", guarded)


@pytest.fixture
def stall(dutlink: Board) -> HilError:
    """The error of a request that the board refuses."""
    return _error_of(lambda: dutlink._link.control_in(Request.READ, max(ReadKey) + 1))


def test_a_refused_request_is_told_as_such(stall: HilError) -> None:
    assert isinstance(stall, RequestStalledError)


def test_an_error_of_the_board_names_it(dutlink: Board, stall: HilError) -> None:
    assert stall.serial == dutlink.serial
    assert dutlink.serial in stall.what


def test_an_error_of_the_board_survives_pickling(stall: HilError) -> None:
    again = pickle.loads(pickle.dumps(stall))  # noqa: S301 - made here

    assert (type(again), again.parts) == (type(stall), stall.parts)


def test_a_board_that_is_not_there_is_a_missing_file_too(dutlink: Board) -> None:
    error = _error_of(lambda: open_driver(dutlink.host, NOBODY))

    assert isinstance(error, BoardAbsentError)
    assert isinstance(error, FileNotFoundError)
    assert error.verdict is Verdict.ABSENT


def test_a_setting_that_does_not_fit_is_a_value_error_with_a_remedy(dutlink: Board) -> None:
    error = _error_of(lambda: dutlink.settings.write(name="n" * 65))

    assert isinstance(error, SettingError)
    assert isinstance(error, ValueError)
    assert error.remedy


def test_a_setting_that_does_not_exist_is_refused_with_the_list_of_those_that_do(dutlink: Board) -> None:
    error = _error_of(lambda: dutlink.settings.write(poweron="p1"))

    assert "power_on" in error.remedy


def test_a_sequence_that_means_something_else_is_refused(dutlink: Board) -> None:
    error = _error_of(lambda: dutlink.settings.write(power_rescue="p1 w"))

    assert isinstance(error, SequenceError)


@pytest.mark.parametrize(("pin", "level"), [("e", "low"), ("a", "up"), ("", "")])
def test_a_pin_or_level_that_is_none_is_refused_before_it_is_sent(pins: Pins, pin: str, level: str) -> None:
    error = _error_of(lambda: pins.set(pin, level))

    assert isinstance(error, UsageError)


def test_words_that_do_not_come_are_named_with_what_came_instead(console: Console) -> None:
    error = _error_of(lambda: console.expect("words that nobody says", timeout_s=0.2))

    assert isinstance(error, ExpectError)
    assert "words that nobody says" in error.what
    assert error.why


def test_waiting_for_words_ends_in_time(console: Console) -> None:
    deadline = Deadline(5.0)

    _error_of(lambda: console.expect("words that nobody says", timeout_s=0.2))

    assert not deadline.passed


@pytest.mark.parametrize("command", ["two\nlines", "t\tab", "umläut", "x" * 513])
def test_a_shell_command_that_would_jam_the_line_editor_is_refused(console: Console, command: str) -> None:
    error = _error_of(lambda: console.shell(command))

    assert isinstance(error, UsageError)
