from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING

import pytest
from fake_tty import FakeTty
from hypothesis import given
from hypothesis import strategies as st

from hil import errors
from hil.dutlink import shell
from hil.dutlink.console import Console
from hil.dutlink.shell import ShellAnswer, check_command
from hil.dutlink.tty import Tty
from hil.dutlink.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPE = b"\x02" * 5


@pytest.fixture
def other_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTty]:
    monkeypatch.setattr(shell, "_REACTION_S", 0.4)
    end = FakeTty()
    yield end
    end.unplug()


@pytest.fixture
def console(other_end: FakeTty) -> Iterator[Console]:
    tty = Tty(other_end.path)
    with Console("5a1c0e01", lambda: tty, tty) as console:
        yield console


@pytest.fixture
def unpowered(other_end: FakeTty) -> Console:
    """A console, still closed, of a DUT without power."""
    tty = Tty(other_end.path)
    return Console("5a1c0e01", lambda: tty, tty, unpowered=lambda: True)


def test_a_command_is_answered_and_console_mode_is_back(console: Console, other_end: FakeTty) -> None:
    answer = console.shell("version")

    assert answer == "0.09 git-ref: 1a2b3c4"
    assert not answer.cut
    assert other_end.console_mode


def test_nothing_but_the_five_escapes_reaches_the_dut(console: Console, other_end: FakeTty) -> None:
    console.shell("version")

    assert bytes(other_end.dut) == ESCAPE


def test_an_answer_may_have_lines_or_nothing(console: Console, other_end: FakeTty) -> None:
    other_end.answers["get-config"] = b"name: a\r\ntags: b"

    assert console.shell("get-config") == "name: a\ntags: b"
    assert console.shell("send hello") == ""


@pytest.mark.parametrize("length", [505, 506, 508, 600])
def test_an_answer_that_is_cut_before_the_prompt_says_so(
    console: Console, other_end: FakeTty, length: int
) -> None:
    other_end.answers["get-config"] = b"x" * length

    answer = console.shell("get-config")

    assert answer.cut is (length > 505)
    assert set(answer.replace("\n", "").removesuffix("#>").removesuffix("#")) == {"x"}
    assert other_end.console_mode


def test_what_the_dut_said_before_can_still_be_expected(console: Console, other_end: FakeTty) -> None:
    other_end.say(b"login: ")

    console.shell("version")
    other_end.say(b"after")

    assert console.expect("after", timeout_s=5).before.endswith(b"login: ")


def test_the_shells_words_are_in_the_transcript_and_not_expected(console: Console) -> None:
    console.shell("version")

    assert "git-ref" in console.transcript.text
    with pytest.raises(errors.ExpectError):
        console.expect("git-ref", timeout_s=0.1)


def test_a_board_that_was_left_in_its_shell_is_asked_there(console: Console, other_end: FakeTty) -> None:
    other_end.console_mode = False

    assert console.shell("version").startswith("0.09")
    assert other_end.console_mode


def test_half_a_command_in_the_shells_line_is_rubbed_out_and_not_run(
    console: Console, other_end: FakeTty
) -> None:
    other_end.console_mode = False
    other_end.line += b"power on"
    other_end.answers["power on"] = b"Device powered on"

    console.restore_console_mode()

    assert "powered on" not in console.transcript.text
    assert other_end.console_mode


def test_a_board_that_does_not_answer_is_a_shell_error(console: Console, other_end: FakeTty) -> None:
    other_end.silent = True

    with pytest.raises(errors.ShellError, match="did not answer"):
        console.shell("version", timeout_s=0.2)


def test_console_mode_is_restored_after_an_answer_that_does_not_come(
    console: Console, other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_line = other_end._run_line
    monkeypatch.setattr(other_end, "_run_line", lambda line: None if line == "version" else run_line(line))

    with pytest.raises(errors.ShellError):
        console.shell("version", timeout_s=0.2)

    assert until(lambda: other_end.console_mode, 5)


def test_the_console_command_ends_in_console_mode(console: Console, other_end: FakeTty) -> None:
    assert "Entering console mode" in console.shell("console")
    assert other_end.console_mode


def test_opening_restores_console_mode_while_the_dut_has_no_power(
    unpowered: Console, other_end: FakeTty
) -> None:
    other_end.console_mode = False

    with unpowered:
        assert other_end.console_mode


def test_opening_sends_nothing_to_a_dut_with_power(console: Console, other_end: FakeTty) -> None:
    other_end.say(b"up")
    console.expect("up", timeout_s=5)

    assert not other_end.dut


def test_the_first_bytes_for_the_dut_reach_it_though_the_board_was_left_in_its_shell(
    console: Console, other_end: FakeTty
) -> None:
    other_end.console_mode = False

    console.send(b"root\r")

    assert until(lambda: bytes(other_end.dut) == b"root\r", 5)


def test_a_silent_console_of_a_board_in_doubt_names_the_shell(console: Console, other_end: FakeTty) -> None:
    other_end.console_mode = False

    with pytest.raises(errors.ExpectError, match=re.escape("restore_console_mode()")):
        console.expect("login: ", timeout_s=0.1)


def test_a_console_of_the_duts_own_asks_at_the_boards_port(other_end: FakeTty) -> None:
    own = FakeTty()

    with Console("5a1c0e01", lambda: Tty(own.path, is_board=False), Tty(other_end.path)) as console:
        answer = console.shell("version")

    assert answer.startswith("0.09")
    assert not own.dut
    own.unplug()


def test_a_sequence_behind_a_command_adds_to_its_time(
    other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(
        "hil.dutlink.console.ask_shell",
        lambda _port, command, limit_s: asked.append((command, limit_s)) or ShellAnswer(),
    )
    tty = Tty(other_end.path)

    with Console("5a1c0e01", lambda: tty, tty, allowance=lambda _: 20.0) as console:
        console.shell("power on", timeout_s=5.0)

    assert asked == [("power on", 25.0)]


@pytest.mark.parametrize("command", ["two\rlines", "caf\u00e9", "\x1b[A", "x" * 513])
def test_what_would_jam_the_line_editor_is_refused(command: str) -> None:
    with pytest.raises(errors.UsageError):
        check_command(command)


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_make_an_answer_that_survives_pickling(raw: bytes, cut: bool) -> None:
    answer = ShellAnswer.of(raw, cut=cut)

    copy = pickle.loads(pickle.dumps(answer))  # noqa: S301 - our own bytes

    assert (copy, copy.cut) == (answer, cut)
