"""Commands that break, leave, hang or flood a shell: `run` tells what became of them and works afterwards."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.dut.command import CommandResult
from hil.dutlink.dut.marked_command import MarkedCommand
from hil.errors import ExpectError, UsageError
from tests.no_hardware.dutlink.dut.shell_tty import ShellTty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.console.console import Console

SHELLS = {
    "bash": (["bash", "--norc", "-i"], {"PS1": r"\t \w# "}),
    "dash": (["dash", "-i"], {"PS1": "dut# "}),
    "ash": (["busybox", "ash", "-i"], {"PS1": r"\w# "}),
    "mksh": (["mksh", "-i"], {"PS1": "$PWD $ "}),
    "zsh": (["zsh", "-f", "-i"], {"PS1": "%*%% "}),
}
COMMANDS = {
    "several lines": ("for i in 1 2; do\n\techo $i\ndone", CommandResult(0, "1\n2")),
    "here-document": (
        "cat <<'EOF'\nit's $HOME \\ \"!\" !x\n\n\ttab\nEOF\nfalse",
        CommandResult(1, 'it\'s $HOME \\ "!" !x\n\n\ttab'),
    ),
    "history": ("echo 'a!b' \"c!d\"", CommandResult(0, "a!b c!d")),
    "long": ("echo " + "0123456789 " * 300, CommandResult(0, ("0123456789 " * 300).rstrip())),
    "long word": (f"printf %s '{'x!' * 900}'", CommandResult(0, "x!" * 900)),
    "binary": ("printf 'a\\000\\033[2J\\015\\377b\\n\\r'", CommandResult(0, "a\0\x1b[2J\r\ufffdb\n\r")),
    "its own line": (
        "printf 'hil-00000000-e0.-00000000-g0.'",
        CommandResult(0, "hil-00000000-e0.-00000000-g0."),
    ),
    "not found": ("nonesuch-command 2>/dev/null", CommandResult(127, "")),
    "errexit in a subshell": ("(set -e; false; echo reached)", CommandResult(1, "")),
    "comment": ("echo a # b", None),
    "background": ("{ sleep 0.05; echo late; } & wait $!", None),
}
EACH = ["bash", *(pytest.param(name, marks=pytest.mark.thorough) for name in SHELLS if name != "bash")]


@pytest.fixture(params=EACH)
def shell(request: pytest.FixtureRequest) -> Iterator[Console]:
    argv, env = SHELLS[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    with ShellTty(argv, env) as dut:
        yield dut.console


def test_run_returns_the_output_of_hard_commands_to_the_letter(shell: Console) -> None:
    answers = {name: shell.run(command) for name, (command, _) in COMMANDS.items()}

    for name, (_, result) in COMMANDS.items():
        assert result is None or answers[name] == result, name
    assert answers["comment"].output.startswith("a")
    assert "late" in answers["background"].output


def test_run_keeps_bytes_that_are_no_text(shell: Console) -> None:
    assert shell.run("printf '\\377\\376\\000'").raw == b"\xff\xfe\x00"


@pytest.mark.parametrize(
    ("command", "words"),
    [("echo 'open", "'|quot"), ("if true; then", ""), ("set -u; echo $nonesuch; set +u", "nonesuch")],
)
def test_run_tells_the_shell_s_error_and_works_afterwards(shell: Console, command: str, words: str) -> None:
    said = shell.run(command)

    assert said.status != 0
    assert re.search(words, said.output)
    assert "# " not in said.output
    assert shell.run("set +u; echo here") == CommandResult(0, "here")


def test_run_works_in_the_shell_that_replaces_the_shell(shell: Console) -> None:
    shell.run("exec sh -i")

    assert shell.run("printf %s $0; false") == CommandResult(1, "sh")


def test_run_returns_the_status_of_an_inner_shell_that_exits(shell: Console) -> None:
    shell.run("true")
    shell.run("PS1=inner# dash -i")

    said = shell.run("echo bye; exit 3")

    assert said == CommandResult(3, "bye")
    assert shell.run("echo here") == CommandResult(0, "here")


@pytest.mark.parametrize("trace", ["+ ", "$LINENO> "])
def test_run_returns_the_trace_of_the_command_only(trace: str) -> None:
    with ShellTty(["bash", "--norc", "-i"], {"PS1": "# ", "PS4": trace}) as dut:
        dut.console.run("true")

        assert dut.console.run("set -x") == CommandResult(0, "")
        said = dut.console.run("echo one; false")

    assert said.status == 1
    assert re.fullmatch(r"\S+ echo one\none\n\S+ false", said.output)


def test_run_works_after_a_command_that_waits_for_input(shell: Console) -> None:
    with pytest.raises(ExpectError, match="did not end") as raised:
        shell.run("head -n 1", timeout_s=1)

    assert "hil-" not in str(raised.value), "no mark is shown"
    assert raised.value.why.endswith(" after 'head -n 1'")
    assert shell.run("echo here") == CommandResult(0, "here")


def test_run_tells_the_last_line_of_a_command_that_did_not_end(shell: Console) -> None:
    with pytest.raises(ExpectError, match="did not end") as raised:
        shell.run("echo waits for a line; head -n 1", timeout_s=2)

    assert raised.value.why.endswith(": 'waits for a line'")


def test_run_works_in_a_shell_started_by_hand(shell: Console) -> None:
    shell.sendline("PS1=oth''er\\>\\  sh -i")
    shell.expect("other> ")

    assert shell.run("echo here") == CommandResult(0, "here")


def test_run_waits_for_a_command_that_was_typed_before(shell: Console) -> None:
    shell.run("true")
    shell.sendline("sleep 0.8")

    assert shell.run("echo here") == CommandResult(0, "here")


def test_run_ends_soon_where_the_command_logs_out() -> None:
    script = "while :; do printf 'dut login: '; read name; PS1='dut# ' dash -i; done"
    with ShellTty(["dash", "-c", script]) as dut:
        dut.console.sendline("root")
        dut.console.expect("dut# ")

        with pytest.raises(ExpectError, match="ended the shell"):
            dut.console.run("exit 3", timeout_s=30)


def test_run_types_nothing_at_a_login_prompt() -> None:
    with ShellTty(["dash", "-c", "printf 'dut login: '; read name; echo \"got $name\"; read name"]) as dut:
        dut.console.expect("login: ")

        with pytest.raises(ExpectError, match="login prompt"):
            dut.console.run("echo secret")

        assert b"got" not in dut.console.transcript.data


@pytest.mark.parametrize(
    "form", ["\\033]133;C\\007", "\\033]0;$BASH_COMMAND\\007", "\\033]3008;start=1\\033\\134"]
)
def test_run_removes_what_a_shell_prints_before_each_command(form: str) -> None:
    with ShellTty(["bash", "--norc", "-i"], {"PS1": "# "}) as dut:
        dut.console.run(f"trap 'printf \"{form}\"' DEBUG")

        assert dut.console.run("echo one; echo two") == CommandResult(0, "one\ntwo")


def test_run_keeps_escape_sequences_that_the_command_prints() -> None:
    with ShellTty(["bash", "--norc", "-i"], {"PS1": r"\[\e]133;A\a\]# ", "PS0": r"\e]133;C\a"}) as dut:
        said = dut.console.run(r"printf '\e]133;C\a\e[?2004lx'")

    assert said.output == "\x1b]133;C\x07\x1b[?2004lx"


def test_run_removes_the_marks_that_systemd_s_profile_prints() -> None:
    profile = "mark() { printf '\\033]3008;start=shell;cwd=%s\\033\\\\' \"$PWD\"; }; PROMPT_COMMAND=(mark)"
    with ShellTty(
        ["bash", "--norc", "-i"], {"PS1": "# ", "PS0": r"\e]3008;start=id;type=command\e\\"}
    ) as dut:
        dut.console.run(profile)

        assert dut.console.run("printf hello") == CommandResult(0, "hello")


@pytest.mark.parametrize("prompt", ["=> ", "sunxi# "])
def test_run_works_at_a_prompt_that_has_neither_eval_nor_printf(prompt: str) -> None:
    with ShellTty([sys.executable, str(Path(__file__).with_name("plain_prompt.py")), prompt]) as dut:
        dut.console.expect(prompt)

        assert dut.console.run("echo one; echo two") == CommandResult(0, "one\ntwo")
        assert dut.console.run("nonesuch").status == 1
        with pytest.raises(UsageError, match="cannot be given"):
            dut.console.run("echo one\necho two")


@pytest.mark.parametrize("command", ["", " \n ", "bell\a", "a\rb", "\x1b[A", "nul\0"])
def test_run_refuses_empty_commands_and_control_characters(command: str) -> None:
    with ShellTty(["dash", "-i"], {"PS1": "# "}) as dut, pytest.raises(UsageError, match="cannot be given"):
        dut.console.run(command)


def test_marked_command_types_no_mark_that_could_be_taken_for_printed() -> None:
    marked = MarkedCommand("echo $?; history")

    typed = "\r".join(marked.typed()).encode() + marked.ask().encode()

    assert not any(mark.search(typed) for mark in (marked.start, marked.end, marked.answer))


def test_marked_command_types_short_lines_only() -> None:
    lines = MarkedCommand("x\u00e4!'" * 2000).typed()

    assert max(map(len, lines)) < 1023
