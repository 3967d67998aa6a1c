"""Commands in each shell with each kind of prompt: no byte of a prompt or of a line editor is output."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.dut.command import CommandResult
from hil.dutlink.dut.prompt import pattern_at_end
from hil.errors import UsageError
from tests.no_hardware.dutlink.dut.shell_tty import ShellTty

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.console.console import Console

ESC, BEL, ST = "\x1b", "\x07", "\x1b\\"
PLAIN = {
    "root": "# ",
    "user": "$ ",
    "long": "root@a-very-long-host-name.example.org:/usr/share/a/rather/deep/directory/of/it# ",
    "angle": "dut> ",
    "no space": "dut#",
    "unicode": "\u03bb \u276f ",
    "question": "ready? ",
    "brackets": "(venv) [root@dut]> ",
    "digits": "12:34:56 ",
    "colours": f"{ESC}[01;32mroot@dut{ESC}[00m:{ESC}[01;34m/{ESC}[00m# ",
    "title": f"{ESC}]0;root@dut{BEL}# ",
    "osc 133": f"{ESC}]133;A{BEL}root@dut# {ESC}]133;B{BEL}",
    "osc 3008": f"{ESC}]3008;start=x;type=shell{ST}root@dut# ",
}
"""Prompts that are the same each time, and in each shell."""

BASH = {
    "time": r"\t# ",
    "number": r"[\!] \## ",
    "status": "[$?] # ",
    "directory": r"\u@\h:\w\$ ",
    "two lines": r"\n\w\n\$ ",
    "three lines": "one\\n\\ntwo # \\nthree$ ",
    "hidden colours": r"\[\e[32m\]\u\[\e[0m\]# ",
}
POSIX = {
    "time": "$(cut -d. -f1,2 /proc/uptime)# ",
    "number": "$(cat /proc/sys/kernel/random/uuid)# ",
    "status": "[$?] # ",
    "directory": "$PWD# ",
    "two lines": "one\ntwo# ",
    "three lines": "\none\n\ntwo # \nthree$ ",
    "line drawn again": "wait...\rready# ",
}
ANDROID = '${|\n\tlocal e=$?\n\n\t(( e )) && REPLY+="$e|"\n\n\treturn $e\n}dut:${PWD:-?} # '
"""As the shell of Android's system image has it (platform/external/mksh, mkshrc)."""

ZSH = {
    "time": "%*%# ",
    "number": "%h%# ",
    "status": "%? %# ",
    "directory": "%~ %# ",
    "two lines": "one\ntwo%# ",
    "right": "%# ",
    "hidden colours": "%F{green}%m%f%# ",
}
FISH = {
    "time": "date +%N | tr '\\n' ' '",
    "number": "cat /proc/sys/kernel/random/uuid | tr '\\n' '#'",
    "status": "echo -n $status'# '",
    "directory": "echo -n (prompt_pwd)'> '",
    "two lines": "echo one; echo -n 'two# '",
    "right": "echo -n '# '",
    "colours": "set_color green; echo -n dut; set_color normal; echo -n '# '",
}


TCSH = {
    "time": "%P%# ",
    "number": "[%h]%# ",
    "status": "[%?]%# ",
    "directory": "%n@%m:%~%# ",
    "two lines": "one\n%/%# ",
    "three lines": "one\n\ntwo # \nthree> ",
    "hidden colours": "%{\x1b[32m%}%m%{\x1b[0m%}# ",
}
CSH = {
    "number": "[!]# ",
    "two lines": "one\ntwo# ",
    "three lines": "one\n\ntwo # \nthree$ ",
    "line drawn again": "wait...\rready# ",
    "percent": "dut% ",
    "bell": "\x07dut# ",
    "tabs": "\tdut\t# ",
}


@dataclass(frozen=True)
class Case:
    argv: tuple[str, ...]
    prompt: str
    env: dict[str, str] = field(default_factory=dict)
    startup: str = ""
    resource_file: str = ""


def cases() -> Iterator[tuple[str, Case]]:
    posix = {"dash": ("dash", "-i"), "ash": ("busybox", "ash", "-i"), "mksh": ("mksh", "-i")}
    for name, prompt in (PLAIN | BASH).items():
        yield f"bash-{name}", Case(("bash", "--norc", "-i"), prompt)
    for shell, argv in posix.items():
        for name, prompt in (PLAIN | POSIX).items():
            yield f"{shell}-{name}", Case(argv, prompt)
    yield "mksh-android", Case(posix["mksh"], ANDROID)
    for name, prompt in ({name: text.replace("%", "%%") for name, text in PLAIN.items()} | ZSH).items():
        right = {"RPROMPT": "%*"} if name == "right" else {}
        yield f"zsh-{name}", Case(("zsh", "-f", "-i"), prompt, right)
    plain = {name: f"echo -n '{text}'" for name, text in PLAIN.items()}
    for name, body in (plain | FISH).items():
        right_body = "; function fish_right_prompt; date +%N; end" if name == "right" else ""
        yield (
            f"fish-{name}",
            Case(("fish", "--no-config", "-i"), "", startup=f"function fish_prompt; {body}; end{right_body}"),
        )

    tcsh = {name: text.replace("%", "%%") for name, text in PLAIN.items()} | TCSH
    for shell, prompts in {"tcsh": tcsh, "bsd-csh": PLAIN | CSH}.items():
        for name, prompt in prompts.items():
            of_several_lines = prompt.replace("\n", "\\\n")
            file = f"set prompt = '{of_several_lines}'\n"
            yield f"{shell}-{name}", Case((shell,), "", resource_file=file)


CASES = dict(cases())
ORDINARY = {"bash-time", "dash-status", "ash-time", "mksh-angle", "zsh-right", "fish-status", "tcsh-status"}
EACH = [name if name in ORDINARY else pytest.param(name, marks=pytest.mark.thorough) for name in CASES]
COMMANDS = [
    ("true", CommandResult(0, "")),
    ("printf 'no end'; false", CommandResult(1, "no end")),
    ("cd /usr/bin", CommandResult(0, "")),
    ("printf '\\033[2Ka# \\r\\n\\n'", CommandResult(0, "\x1b[2Ka# \r\n")),
    (f"echo {'word ' * 40}", CommandResult(0, ("word " * 40).rstrip())),
    ("pwd", CommandResult(0, "/usr/bin")),
]


@pytest.fixture
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Console]:
    case = CASES[request.param]
    if shutil.which(case.argv[0]) is None:
        pytest.skip(f"{case.argv[0]} is not installed")
    if case.resource_file:
        (tmp_path / ".cshrc").write_text(case.resource_file)
    argv = [*case.argv, "--init-command", case.startup] if case.startup else list(case.argv)
    with ShellTty(argv, {"PS1": case.prompt, "HOME": os.fspath(tmp_path), **case.env}) as dut:
        yield dut.console


@pytest.mark.parametrize("shell", EACH, indirect=True)
def test_run_is_exact_with_the_prompt(shell: Console) -> None:
    answers = [(command, shell.run(command, timeout_s=30)) for command, _ in COMMANDS]

    assert answers == COMMANDS


def test_run_warns_once_if_the_pattern_does_not_match_the_prompt_s_end() -> None:
    with ShellTty(["bash", "--norc", "-i"], {"PS1": r"root@BeaglePlay:\w# "}) as dut:
        dut.console.prompt = "root@BeaglePlay"
        dut.console.expect(
            r"root@BeaglePlay:\S*# "
        )  # a prompt that is there before `run` is learned silently
        dut.console.run(r"PS1='root@BeaglePlay:\w> '")
        dut.console.run("true")
        dut.console.run("true")

        told = [mark.text for mark in dut.console.transcript.marks if "console.prompt" in mark.text]

    assert len(told) == 1
    assert ":/" in told[0]


def test_run_consumes_the_prompt_after_a_command() -> None:
    with ShellTty(["bash", "--norc", "-i"], {"PS1": "root@dut:/# "}) as dut:
        dut.console.run("true")

        assert dut.console.unread().strip() == b""


@pytest.mark.parametrize("name", ["tcsh", "bsd-csh"])
def test_run_has_the_status_and_the_words_of_a_command_in_csh(name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    commands = [
        ("false", CommandResult(1, "")),
        ("(exit 7)", CommandResult(7, "")),
        ("echo it is 'a \u00e4 \u20ac\tb' \\!", CommandResult(0, "it is a \u00e4 \u20ac\tb !")),
        ("set x = 5; echo $x", CommandResult(0, "5")),
        ("echo $nonesuch", CommandResult(1, "nonesuch: Undefined variable.")),
        (f"echo {'word ' * 200}", CommandResult(0, ("word " * 200).rstrip())),
    ]
    with ShellTty([name, "-f"], {"LC_ALL": "C.UTF-8"}) as dut:
        assert [(command, dut.console.run(command)) for command, _ in commands] == commands
        with pytest.raises(UsageError, match="csh or tcsh"):
            dut.console.run("echo one\necho two")
        assert dut.console.run("(exit 3)").status == 3


@pytest.mark.parametrize(
    "prompt", [re.compile(r"[$#]\ # a shell's", re.VERBOSE), r"(?x) [#]\ # root's", re.compile(b"(?i)# ")]
)
def test_pattern_at_end_keeps_flags(prompt: re.Pattern[str] | str) -> None:
    pattern = pattern_at_end(prompt)

    assert pattern.search(b"# done\n# \x1b[0m")
    assert not pattern.search(b"# done")
