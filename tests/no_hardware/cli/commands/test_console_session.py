"""One session of `hil console`: keys, old bytes, the talk with the board, a console that hangs."""

from __future__ import annotations

import os
import select
import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from hil.cli.commands import console as console_command
from hil.cli.commands.console_output import ConsoleOutput, ConsoleSink, PlainTextSink, TerminalSink
from hil.cli.commands.console_session import HELP, LEAVE, ConsoleSession
from hil.dutlink.console.board_shell import dut_output
from hil.dutlink.console.transcript import MarkKind, Transcript
from hil.dutlink.timing import until
from hil.errors import ConsoleLostError

LIMIT_S = 60.0


class HangingConsole:
    """Takes nothing until it is lost."""

    def __init__(self) -> None:
        self.transcript = Transcript()
        self.is_lost = threading.Event()
        self.sender: threading.Thread | None = None

    def check(self) -> None:
        """Return."""

    def send(self, _data: bytes) -> None:
        self.sender = threading.current_thread()
        self.is_lost.wait(LIMIT_S)
        raise ConsoleLostError("it is gone", serial="5a1c0e01")


def test_session_that_has_ended_writes_into_no_file_opened_later() -> None:
    console: Any = HangingConsole()
    with ExitStack() as stack:
        keys, typed = pipe(stack)
        _, shown = pipe(stack)
        os.write(typed, b"x" + LEAVE)
        ConsoleSession(console, [], ConsoleOutput(shown), keys).run()
        later = [pipe(stack)[0] for _ in range(10)]

        console.is_lost.set()
        console.sender.join(LIMIT_S)

        assert select.select(later, [], [], 0)[0] == []


class RecordingConsole(HangingConsole):
    """Takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data


def test_session_sends_its_own_keys_only_after_the_help_key() -> None:
    console: Any = RecordingConsole()
    helped: list[str] = []
    with ExitStack() as stack:
        keys, typed = pipe(stack)
        _, shown = pipe(stack)
        os.write(typed, b"^]" + HELP + b"^a" + HELP + b"]b" + HELP + b"c" + HELP + LEAVE + b"d")
        ConsoleSession(
            console, [], ConsoleOutput(shown), keys, show_help=lambda: helped.append("shown")
        ).run()

        assert until(lambda: console.sent == b"^]" + HELP + b"a" + LEAVE + b"bc", LIMIT_S), console.sent
    assert helped == ["shown"] * 4


LEFT = b"\r\nExiting console mode\r\n#> "
SHELL = b"meter off\r\nPower monitor disabled\r\n#> console\r\n"
ENTERED = b"Entering console mode, type CTRL+B 5 times to exit\r\n"


@pytest.mark.parametrize(
    ("said", "by_dut"),
    [
        (b"be" + LEFT + SHELL + ENTERED + b"after", b"beafter"),
        (SHELL + ENTERED + b"after", b"after"),
        (b"nothing of the board", b"nothing of the board"),
        (b"be" + LEFT + SHELL, b"be" + LEFT + SHELL),
    ],
)
def test_dut_byte_filter_leaves_the_boards_answers_out(said: bytes, by_dut: bytes) -> None:
    assert dut_output(said) == by_dut


@pytest.mark.parametrize("kind", [TerminalSink, PlainTextSink])
def test_sinks_show_no_dialog_of_hil_with_the_board(kind: type[TerminalSink | PlainTextSink]) -> None:
    transcript = Transcript()
    transcript.append(b"before")
    transcript.mark("the board is brought back to console mode", MarkKind.BLIND)
    transcript.append(b" between" + LEFT[:9])
    transcript.mark("power off")
    transcript.append(LEFT[9:] + SHELL)
    transcript.append(ENTERED)
    transcript.mark("the board is in console mode", MarkKind.HEARD)
    transcript.append(b" after\n")

    assert b"before between after" in shown_by(kind, transcript)


@pytest.mark.parametrize(("kind", "end"), [(TerminalSink, b"\r\n"), (PlainTextSink, b"\n")])
def test_sinks_mark_old_bytes(kind: type[TerminalSink | PlainTextSink], end: bytes) -> None:
    transcript = Transcript()
    board: Any = SimpleNamespace(console=SimpleNamespace(transcript=transcript, drain=lambda: None))
    transcript.append(b"boot> ")
    console_command._note_old_bytes(board)
    transcript.append(b"new")

    mark = b"hil: the output above came when the console was opened; it may be old"
    assert b"boot> " + end + mark + end + b"new" in shown_by(kind, transcript)


def test_console_without_old_bytes_has_no_mark() -> None:
    transcript = Transcript()
    board: Any = SimpleNamespace(console=SimpleNamespace(transcript=transcript, drain=lambda: None))
    console_command._note_old_bytes(board)

    assert list(transcript.marks) == []


def test_note_old_bytes_ignores_the_dialog_with_the_board() -> None:
    transcript = Transcript()
    board: Any = SimpleNamespace(console=SimpleNamespace(transcript=transcript, drain=lambda: None))
    transcript.mark("the board is brought back to console mode", MarkKind.BLIND)
    transcript.append(LEFT + SHELL + ENTERED)
    transcript.mark("the board is in console mode", MarkKind.HEARD)

    console_command._note_old_bytes(board)

    assert MarkKind.OPENED not in {mark.kind for mark in transcript.marks}


@pytest.mark.parametrize("kind", [TerminalSink, PlainTextSink])
def test_sinks_show_the_dut_after_a_dialog_without_an_answer(
    kind: type[TerminalSink | PlainTextSink],
) -> None:
    transcript = Transcript()
    transcript.mark("the board is brought back to console mode", MarkKind.BLIND)
    transcript.mark("the board may still be in its shell", MarkKind.UNSURE)
    transcript.append(b"the DUT speaks\n")

    assert b"the DUT speaks" in shown_by(kind, transcript, close=False)


def shown_by(
    kind: type[TerminalSink | PlainTextSink], transcript: Transcript, *, close: bool = True
) -> bytes:
    """Return what a screen writes for the events of a transcript, and when it is closed."""
    with ExitStack() as stack:
        read, shown = pipe(stack)
        output = ConsoleOutput(shown)
        screen: ConsoleSink = kind(output)
        transcript.listen(screen.show, from_start=True)
        if close:
            screen.close()
        assert output.flush(LIMIT_S)
        os.set_blocking(read, False)  # a screen that shows nothing fails the test
        return os.read(read, 65536)


def pipe(stack: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends
