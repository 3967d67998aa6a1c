"""How a board, real or simulated, behaves towards its holder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.power.power import OFF_AMPS
from hil.dutlink.storage.storage import Position
from hil.dutlink.timing import until
from hil.dutlink.usb.protocol import Pin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board
    from hil.dutlink.power.power import Power
    from hil.dutlink.storage.storage import Storage

pytestmark = pytest.mark.mixed

SETTLES_WITHIN_S = 8.0


@pytest.fixture(autouse=True)
def _safe_after(dutlink: Board) -> Iterator[None]:
    yield
    dutlink.make_safe()


@pytest.fixture
def powered(dutlink: Board) -> Board:
    """A board whose DUT draws current, as its meter has noticed."""
    dutlink.power.force_on()
    assert until(lambda: dutlink.power.read().amps > OFF_AMPS, SETTLES_WITHIN_S)
    return dutlink


def test_a_board_that_is_made_safe_gives_its_dut_no_current(powered: Board) -> None:
    powered.make_safe()

    assert powered.power.wait_until_off(SETTLES_WITHIN_S)


def test_a_board_that_is_made_safe_gives_its_stick_to_nobody(dutlink: Board) -> None:
    dutlink.storage.dut()

    dutlink.make_safe()

    assert dutlink.storage.position is Position.OFF


def test_a_board_can_be_made_safe_again_and_again(dutlink: Board) -> None:
    dutlink.make_safe()
    dutlink.make_safe()

    assert dutlink.power.cut


def test_only_force_off_counts_as_cut(power: Power) -> None:
    power.force_off()

    power.force_on()

    assert not power.cut


@pytest.mark.parametrize("pin", ["reset", "RESET", Pin.RESET])
def test_a_pin_may_be_named_in_any_case(dutlink: Board, pin: str) -> None:
    dutlink.power.force_off()

    dutlink.pins.floating(pin)

    assert dutlink.power.read()


def test_waiting_for_a_stick_that_was_never_on_the_host_to_go_ends_at_once(storage: Storage) -> None:
    storage.off()

    storage.wait_until_gone(timeout_s=5.0)

    assert storage.position is Position.OFF


def test_two_openings_of_one_board_share_its_control_requests(dutlink: Board) -> None:
    with open_driver(dutlink.host, dutlink.serial, console=False) as second:
        readings = [board.settings.read() for board in (dutlink, second, dutlink)]

    assert readings[0] == readings[1] == readings[2]


def test_closing_one_opening_leaves_the_other_at_work(dutlink: Board) -> None:
    open_driver(dutlink.host, dutlink.serial, console=False).close()

    assert dutlink.power.read()


def test_a_command_of_the_shell_and_a_request_come_to_the_same(powered: Board) -> None:
    powered.console.shell("power force-off")

    assert powered.power.wait_until_off(SETTLES_WITHIN_S)


def test_a_console_keeps_its_transcript_when_it_is_closed(dutlink: Board) -> None:
    dutlink.console.shell("version")
    kept = dutlink.console.transcript.data

    dutlink.console.close()

    assert dutlink.console.transcript.data[: len(kept)] == kept
