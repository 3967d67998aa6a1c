from __future__ import annotations

import pickle
import re
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil import errors
from hil.dutlink.console import board_shell
from hil.dutlink.console.board_shell import ShellAnswer, check_command
from hil.dutlink.console.console import Console
from hil.dutlink.console.transcript import MarkKind
from hil.dutlink.console.tty import Tty
from hil.dutlink.timing import until
from tests.support.fake_tty import FakeTty

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPE = b"\x02" * 5


@pytest.fixture
def other_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTty]:
    monkeypatch.setattr(board_shell, "_REACTION_S", 0.4)
    end = FakeTty()
    yield end
    end.unplug()


@pytest.fixture
def opened(other_end: FakeTty) -> Iterator[Console]:
    tty = Tty(other_end.path)
    with Console("5a1c0e01", lambda: tty, tty) as console:
        yield console


@pytest.fixture
def unpowered(other_end: FakeTty) -> Console:
    """A console, still closed, of a DUT without power."""
    tty = Tty(other_end.path)
    return Console("5a1c0e01", lambda: tty, tty, unpowered=lambda: True)


def test_shell_returns_the_answer_and_restores_console_mode(opened: Console, other_end: FakeTty) -> None:
    answer = opened.shell("version")

    assert answer == "0.09 git-ref: 1a2b3c4"
    assert not answer.cut
    assert other_end.console_mode


@pytest.mark.parametrize(
    ("command", "starts_dut"), [("power on", True), ("pin d high", True), ("version", False)]
)
def test_shell_command_that_may_start_the_dut_is_marked(
    opened: Console, command: str, starts_dut: bool
) -> None:
    opened.shell(command)

    (mark,) = [mark for mark in opened.transcript.marks if mark.kind is MarkKind.BLIND]
    assert (mark.text, mark.starts_dut) == (f"the board's shell runs {command!r}", starts_dut)


def test_shell_sends_only_five_escapes_to_the_dut(opened: Console, other_end: FakeTty) -> None:
    opened.shell("version")

    assert bytes(other_end.dut) == ESCAPE


def test_shell_answer_may_have_several_lines_or_none(opened: Console, other_end: FakeTty) -> None:
    other_end.answers["get-config"] = b"name: a\r\ntags: b"

    assert opened.shell("get-config") == "name: a\ntags: b"
    assert opened.shell("send hello") == ""


@pytest.mark.parametrize("length", [505, 506, 508, 600])
def test_shell_answer_without_its_prompt_is_cut(opened: Console, other_end: FakeTty, length: int) -> None:
    other_end.answers["get-config tags"] = b"x" * length

    answer = opened.shell("get-config tags")

    assert answer.cut is (length > 505)
    assert set(answer.replace("\n", "").removesuffix("#>").removesuffix("#")) == {"x"}
    assert other_end.console_mode


@pytest.mark.parametrize("listed", [b"", b"\r\npower_rescue: aL"])
def test_shell_answer_of_a_listing_without_its_last_line_is_cut(
    opened: Console, other_end: FakeTty, listed: bytes
) -> None:
    other_end.answers["get-config"] = b"name: a" + listed

    assert opened.shell("get-config").cut is (not listed)


def test_shell_answer_to_an_empty_command_is_empty(opened: Console, other_end: FakeTty) -> None:
    assert opened.shell("") == ""
    assert other_end.console_mode


def test_shell_leaves_earlier_output_to_expect(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"login: ")

    opened.shell("version")
    other_end.say(b"after")

    assert opened.expect("after", timeout_s=5).before.endswith(b"login: ")


def test_shell_output_is_in_the_transcript_but_not_for_expect(opened: Console) -> None:
    opened.shell("version")

    assert "git-ref" in opened.transcript.text
    with pytest.raises(errors.ExpectError):
        opened.expect("git-ref", timeout_s=0.1)


def test_shell_works_on_a_board_that_is_in_its_shell_already(opened: Console, other_end: FakeTty) -> None:
    other_end.console_mode = False

    assert opened.shell("version").startswith("0.09")
    assert other_end.console_mode


def test_shell_deletes_half_a_command_in_the_board_s_line(opened: Console, other_end: FakeTty) -> None:
    other_end.console_mode = False
    other_end.line += b"power on"
    other_end.answers["power on"] = b"Device powered on"

    opened.restore_console_mode()

    assert "powered on" not in opened.transcript.text
    assert other_end.console_mode


def test_shell_raises_shell_error_if_the_board_does_not_answer(opened: Console, other_end: FakeTty) -> None:
    other_end.silent = True

    with pytest.raises(errors.ShellError, match="did not answer"):
        opened.shell("version", timeout_s=0.2)


def test_shell_without_an_answer_notes_that_the_dut_may_not_be_heard(
    opened: Console, other_end: FakeTty
) -> None:
    other_end.silent = True
    with pytest.raises(errors.ShellError):
        opened.shell("version", timeout_s=0.2)
    with pytest.raises(errors.ShellError):
        opened.restore_console_mode()
    other_end.silent = False
    opened.restore_console_mode()

    plain = {MarkKind.NOTE, MarkKind.CONSOLE_OPEN}
    kinds = [mark.kind for mark in opened.transcript.marks if mark.kind not in plain]
    blind, unsure, heard = MarkKind.BLIND, MarkKind.UNSURE, MarkKind.HEARD
    assert kinds == [blind, unsure, blind, unsure, blind, heard]


def test_shell_restores_console_mode_after_a_timeout(
    opened: Console, other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_line = other_end._run_line
    monkeypatch.setattr(other_end, "_run_line", lambda line: None if line == "version" else run_line(line))

    with pytest.raises(errors.ShellError):
        opened.shell("version", timeout_s=0.2)

    assert until(lambda: other_end.console_mode, 60)


def test_shell_command_console_ends_in_console_mode(opened: Console, other_end: FakeTty) -> None:
    assert "Entering console mode" in opened.shell("console")
    assert other_end.console_mode


def test_open_restores_console_mode_if_the_dut_has_no_power(unpowered: Console, other_end: FakeTty) -> None:
    other_end.console_mode = False

    with unpowered:
        assert other_end.console_mode


def test_open_sends_nothing_to_a_dut_with_power(opened: Console, other_end: FakeTty) -> None:
    other_end.say(b"up")
    opened.expect("up", timeout_s=5)

    assert not other_end.dut


def test_send_restores_console_mode_before_the_first_bytes(opened: Console, other_end: FakeTty) -> None:
    other_end.console_mode = False

    opened.send(b"root\r")

    assert until(lambda: bytes(other_end.dut) == b"root\r", 60)


def test_expect_error_names_the_shell_if_the_mode_is_uncertain(opened: Console, other_end: FakeTty) -> None:
    other_end.console_mode = False

    with pytest.raises(errors.ExpectError, match=re.escape("restore_console_mode()")):
        opened.expect("login: ", timeout_s=0.1)


def test_shell_uses_the_board_s_port_if_the_dut_has_its_own_console(other_end: FakeTty) -> None:
    own = FakeTty()

    with Console("5a1c0e01", lambda: Tty(own.path, is_board=False), Tty(other_end.path)) as opened:
        answer = opened.shell("version")

    assert answer.startswith("0.09")
    assert not own.dut
    own.unplug()


def test_shell_adds_the_duration_of_a_sequence_to_its_time_limit(
    other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(
        "hil.dutlink.console.connection.run_shell_command",
        lambda _port, command, limit_s: asked.append((command, limit_s)) or ShellAnswer(),
    )
    tty = Tty(other_end.path)

    with Console("5a1c0e01", lambda: tty, tty, allowance=lambda _: 20.0) as opened:
        opened.shell("power on", timeout_s=5.0)

    assert asked == [("power on", 25.0)]


@pytest.mark.parametrize("command", ["two\rlines", "caf\u00e9", "\x1b[A", "x" * 513])
def test_check_command_refuses_what_jams_the_line_editor(command: str) -> None:
    with pytest.raises(errors.UsageError):
        check_command(command)


@given(st.binary(max_size=600), st.booleans())
def test_shell_answer_of_any_bytes_survives_pickling(raw: bytes, cut: bool) -> None:
    answer = ShellAnswer.of(raw, cut=cut)

    copy = pickle.loads(pickle.dumps(answer))  # noqa: S301 - our own bytes

    assert (copy, copy.cut) == (answer, cut)


def test_shell_of_a_board_that_is_unplugged_raises_console_lost_error(
    opened: Console, other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_end, "_run_line", lambda _: None)
    threading.Timer(0.3, other_end.unplug).start()

    with pytest.raises(errors.ConsoleLostError):
        opened.shell("version", timeout_s=10)


def test_shell_repeats_the_console_command_if_its_reply_is_garbled(
    opened: Console, other_end: FakeTty, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = other_end.say
    garbled = iter([b"\r\nEnt?ring console mode\r\n"])
    monkeypatch.setattr(
        other_end, "say", lambda data: say(next(garbled, data) if b"Entering" in data else data)
    )

    assert opened.shell("version").startswith("0.09")
    assert other_end.console_mode


@pytest.mark.thorough
def test_shell_keeps_its_time_limit_if_the_dut_never_pauses(opened: Console, other_end: FakeTty) -> None:
    other_end.silent = True
    over = threading.Event()

    def chatter() -> None:
        while not over.wait(0.001):
            other_end.say(b"noise ")

    thread = threading.Thread(target=chatter)
    thread.start()
    with pytest.raises(errors.ShellError):
        opened.shell("version", timeout_s=0.2)
    over.set()
    thread.join()

    assert opened.expect("noise", timeout_s=5)
