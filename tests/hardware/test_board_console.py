"""The console of any DUT, and the board's shell on the same line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.console.tty import open_tty
from hil.errors import ConsoleBusyError, ExpectError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console

LEFT = "Exiting console mode"
ENTERED = "Entering console mode"
ANSWER_BYTES = 512
SPEAKS_WITHIN_S = 60.0
"""Any DUT says something by then: its boot ROM, its boot loader or its kernel."""

pytestmark = pytest.mark.usefixtures("safe_after")


@pytest.fixture
def in_shell(uart: Console) -> Iterator[Console]:
    """The console of a board that has just said ` console mode`, which no test has expected yet."""
    uart.send(b"\x02" * 5)
    uart.expect(r"Exiting(?= console mode)", timeout_s=5.0)
    yield uart
    uart.restore_console_mode()


def test_a_console_is_open_for_one_process_only(dutlink: Board) -> None:
    console = dutlink.console.open()

    with pytest.raises(ConsoleBusyError):
        open_tty(console.tty, dutlink.serial)


def test_a_console_can_be_closed_and_opened_again(dutlink: Board) -> None:
    dutlink.console.close()

    dutlink.console.open()

    assert dutlink.console.shell("version")


def test_control_requests_work_while_the_console_is_open(dutlink: Board) -> None:
    dutlink.console.open()

    assert dutlink.power.read()


def test_a_dut_that_is_switched_on_says_something(dutlink: Board) -> None:
    dutlink.storage.dut()
    dutlink.console.open()
    dutlink.power.on(wait=True)

    assert dutlink.console.expect(r"\S", timeout_s=SPEAKS_WITHIN_S)


def test_the_transcript_keeps_what_the_dut_said(dutlink: Board) -> None:
    dutlink.storage.dut()
    dutlink.console.open()
    dutlink.power.on(wait=True)

    said = dutlink.console.expect(r"\S+", timeout_s=SPEAKS_WITHIN_S)

    assert said.group() in dutlink.console.transcript.data


def test_the_transcript_keeps_what_the_shell_said(uart: Console) -> None:
    before = len(uart.transcript)

    answer = uart.shell("version")

    assert answer.encode() in uart.transcript.data[before:]


def test_a_shell_command_finds_console_mode_and_leaves_it(uart: Console) -> None:
    before = uart.transcript.text.count(LEFT)

    uart.shell("version")
    uart.shell("version")

    assert uart.transcript.text.count(LEFT) == before + 2


def test_a_board_left_in_its_shell_is_brought_back_to_console_mode(uart: Console) -> None:
    uart.send(b"\x02" * 5)
    uart.expect(LEFT, timeout_s=5.0)
    before = uart.transcript.text.count(ENTERED)

    uart.restore_console_mode()

    assert uart.transcript.text.count(ENTERED) == before + 1


def test_half_a_command_left_in_the_shell_is_never_run(uart: Console) -> None:
    uart.send(b"\x02" * 5)
    uart.expect(f"{LEFT}\r\n#> ", timeout_s=5.0)
    uart.send("bogus")
    uart.expect("bogus", timeout_s=5.0)
    before = uart.transcript.text.count("unsupported command")

    uart.restore_console_mode()

    assert uart.transcript.text.count("unsupported command") == before


def test_what_came_before_it_is_expected_counts(in_shell: Console) -> None:
    assert in_shell.expect("console mode", timeout_s=0.2)


def test_what_was_discarded_is_not_expected_any_more(in_shell: Console) -> None:
    in_shell.discard()

    with pytest.raises(ExpectError):
        in_shell.expect("console mode", timeout_s=0.2)


def test_an_answer_has_512_bytes_at_most(dutlink: Board) -> None:
    answer = dutlink.console.shell("get-config")

    assert len(answer.encode()) <= ANSWER_BYTES


def test_the_shell_lists_the_settings_beginning_with_the_name(dutlink: Board) -> None:
    name = dutlink.settings.read().name

    assert dutlink.console.shell("get-config").startswith(f"name: {name}".rstrip())
