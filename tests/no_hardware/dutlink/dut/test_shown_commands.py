"""What people see of commands: the user's, without what `console.run` typed around them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.console.sanitize import sanitize_bytes
from hil.dutlink.console.transcript import Chunk, Event, Mark, MarkKind
from hil.dutlink.dut.marked_command import MarkedCommand
from hil.dutlink.dut.shown_commands import CommandFilter, shown_events
from hil.errors import ExpectError
from tests.no_hardware.dutlink.dut import plain_prompt
from tests.no_hardware.dutlink.dut.shell_tty import ShellTty

if TYPE_CHECKING:
    from collections.abc import Iterable

SHELLS = {
    "bash": (["bash", "--norc", "-i"], {"PS1": "root@dut:/# "}),
    "bash that scrolls its line": (["bash", "--norc", "-i"], {"PS1": "root@dut:/# ", "TERM": "dumb"}),
    "dash": (["dash", "-i"], {"PS1": "root@dut:/# "}),
    "ash": (["busybox", "ash", "-i"], {"PS1": "root@dut:/# "}),
}
WORD = "0123abcd"
ECHO = f"{MarkedCommand('uname -r', word=WORD).typed()[0]}\r\n".encode()
BEGIN = f"hil-{WORD}-shil-{WORD}-t".encode()
END = "".join(f"hil{mark}" for mark in (f"-{WORD}-ex24status.", f"-{WORD}-fx24status.")).encode()
END += f"hilx23-{WORD}-g0.hil-{WORD}-h0.\r\n".encode()


def typed(command: str = "uname -r") -> Mark:
    return Mark(0.0, 0.0, command, kind=MarkKind.COMMAND)


def chunk(data: bytes) -> Chunk:
    return Chunk(0.0, 0.0, data)


def text_of(events: list[Event]) -> str:
    return b"".join(event.data for event in events if isinstance(event, Chunk)).decode()


def shown_text(events: Iterable[Event]) -> str:
    return sanitize_bytes(b"".join(event.data for event in events if isinstance(event, Chunk)))


@pytest.mark.parametrize("shell", SHELLS)
def test_shown_commands_are_the_users_with_their_output(shell: str) -> None:
    argv, env = SHELLS[shell]
    with ShellTty(argv, env) as dut:
        dut.console.expect("# ")
        for command in ["echo it\\'s 'here'; false", "echo one\necho two", "printf 'no end'", "seq 3000"]:
            dut.console.run(command)
        shown = shown_text(shown_events(dut.console.transcript._kept_events()))
        kept = dut.console.transcript.text

    lines = shown.split("\n")
    assert "hil" not in shown
    assert "hil%st" in kept or "x24status" in kept
    first = next(number for number, line in enumerate(lines) if "it\\'s" in line)
    assert lines[first : first + 8] == [
        "root@dut:/# echo it\\'s 'here'; false",
        "it's here",
        *["root@dut:/# echo one", "> echo two", "one", "two"],
        *["root@dut:/# printf 'no end'", "no end"],
    ]
    assert lines[-3:-1] == ["2999", "3000"]


def test_shown_commands_do_not_depend_on_how_bytes_come() -> None:
    said = ECHO + BEGIN + b"6.1.0 hi hil-\r\n" + END + b"# "
    commands = CommandFilter()
    events = [typed(), *(chunk(said[at : at + 1]) for at in range(len(said)))]

    one_by_one = [shown for event in events for shown in commands.feed(event)] + commands.finish()

    assert text_of(one_by_one) == "uname -r\r\n6.1.0 hi hil-\r\n# "
    assert text_of(shown_events([typed(), chunk(said)])) == text_of(one_by_one)


def test_shown_commands_keep_kernel_messages_in_an_echo() -> None:
    panic = b"[    1.234567] Kernel panic - not syncing\r\n"

    shown = shown_events(
        [typed(), chunk(ECHO[:40] + b"\r\n" + panic + ECHO[40:] + BEGIN + b"6.1.0\r\n" + END)]
    )

    assert text_of(shown) == f"uname -r\r\n{panic.decode()}6.1.0\r\n"


def test_shown_commands_keep_notes_in_an_echo() -> None:
    note = Mark(0.0, 0.0, "power off")

    shown = shown_events([typed(), chunk(ECHO[:40]), note, chunk(ECHO[40:] + BEGIN + b"6.1.0\r\n" + END)])

    assert note in shown


def test_shown_commands_without_a_shell_keep_what_came() -> None:
    shown = shown_events([typed(), chunk(ECHO + b"Password: \r\nLogin incorrect\r\n")])

    assert text_of(shown) == "uname -r\r\nPassword: \r\nLogin incorrect\r\n"


def test_shown_commands_leave_marks_that_no_command_was_typed_for() -> None:
    assert text_of(shown_events([chunk(BEGIN + END)])) == (BEGIN + END).decode()


def test_shown_commands_at_a_boot_loader_have_no_question_for_the_status() -> None:
    with ShellTty([sys.executable, str(Path(plain_prompt.__file__)), "=> "]) as dut:
        dut.console.prompt = "=> "
        dut.console.expect("=> ")
        dut.console.run("version")
        dut.console.run("echo here")
        shown = text_of(shown_events(dut.console.transcript._kept_events()))

    assert "hil" not in shown
    assert "=> echo here\r\nhere\r\n" in shown


def test_run_that_did_not_start_names_the_command_as_the_last_line() -> None:
    with ShellTty(["cat"]) as dut, pytest.raises(ExpectError) as failed:
        dut.console.run("uname -r", timeout_s=0.3)

    assert failed.value.why.endswith("'uname -r'")
