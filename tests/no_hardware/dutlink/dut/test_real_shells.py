"""Commands on real shells: what a line editor, a prompt and a kernel put between them is no output."""

from __future__ import annotations

import random
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.console import expect
from hil.dutlink.dut.command import CommandResult
from hil.errors import ConsoleError, UsageError
from tests.no_hardware.dutlink.dut.shell_tty import ShellTty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.console.console import Console
    from hil.dutlink.patterns.incremental_match import Pattern

COLOURED = "\\[\x1b]0;dut: \\w\x07\\]\\[\x1b[01;32m\\]root@dut\\[\x1b[00m\\]:\\w\\[\x1b[1m\\]#\\[\x1b[0m\\] "
KERNEL = b"\r\n[   12.345678] usb 1-1: new device\r\n"
BASH = ["bash", "--norc", "-i"]
SHELLS = {
    "bash": (BASH, {"PS1": "root@dut:/# "}),
    "bash on a dumb terminal": (BASH, {"PS1": "root@dut:/# ", "TERM": "dumb"}),
    "bash with colours": (BASH, {"PS1": COLOURED}),
    "bash with a prompt of two lines": (BASH, {"PS1": "\\n[root@dut \\w]\\n$ "}),
    "bash that tells the status": (BASH, {"PS1": "[$?] # "}),
    "bash without an editor": ([*BASH[:2], "--noediting", "-i"], {"PS1": "# "}),
    "sh": (["sh", "-i"], {"PS1": "# "}),
}
COMMANDS = [
    ("true", CommandResult(0, "")),
    ("(exit 255)", CommandResult(255, "")),
    ("echo one; echo two; false", CommandResult(1, "one\ntwo")),
    ("printf '\\n\\nz\\n\\n'", CommandResult(0, "\n\nz\n")),
    ("printf '# \\n'; sleep 0.4; echo tail", CommandResult(0, "# \ntail")),
    ("printf 'hil-00000000a0-\\n'", CommandResult(0, "hil-00000000a0-")),
    ("printf 'a\\rb\\r\\n'", CommandResult(0, "a\rb\r")),
    ("printf '\\033[31mred\\033[0m\\n'", CommandResult(0, "\x1b[31mred\x1b[0m")),
    (f"echo {'abc' * 60}", CommandResult(0, "abc" * 60)),
    ("echo '\u00e4 \u20ac'", CommandResult(0, "\u00e4 \u20ac")),
    (
        "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done",
        CommandResult(0, "\n".join(map(str, range(3000)))),
    ),
]
UNENDED = [
    ("printf 'no end'", CommandResult(0, "no end")),
    ("printf 'root@dut:/# '; (exit 130)", CommandResult(130, "root@dut:/# ")),
    ("printf '$ '; sleep 0.4; printf '# '", CommandResult(0, "$ # ")),
]


ORDINARY = {"bash", "sh"}
EACH_SHELL = [name if name in ORDINARY else pytest.param(name, marks=pytest.mark.thorough) for name in SHELLS]
"""The others are left to thorough runs."""


@pytest.fixture(params=EACH_SHELL)
def shell(request: pytest.FixtureRequest) -> Iterator[Console]:
    argv, env = SHELLS[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not on this machine")
    with ShellTty(argv, env) as dut:
        dut.console.expect(dut.console.prompt)
        yield dut.console


def test_run_returns_output_and_status_exactly(shell: Console) -> None:
    for command, result in COMMANDS:
        assert shell.run(command) == result


def test_run_keeps_output_without_a_line_end(shell: Console) -> None:
    for command, result in UNENDED:
        assert shell.run(command) == result


def test_run_is_not_slowed_by_lines_that_look_like_prompts() -> None:
    with ShellTty(BASH, SHELLS["bash"][1]) as dut:
        dut.console.expect(dut.console.prompt)

        said = dut.console.run("yes 'a # b $ c' | head -n 100000", timeout_s=60)

    assert said == CommandResult(0, "\n".join(["a # b $ c"] * 100_000))


def test_run_refuses_an_output_that_is_longer_than_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expect, "KEPT_BYTES", 10_000)
    with ShellTty(BASH, SHELLS["bash"][1]) as dut:
        dut.console.expect(dut.console.prompt)
        whole = dut.console.run("yes line | head -n 20000", timeout_s=60)
        dut.console.transcript._kept_bytes = 10_000

        with pytest.raises(ConsoleError, match="more than are kept"):
            dut.console.run("yes line | head -n 20000", timeout_s=60)

    assert whole == CommandResult(0, "\n".join(["line"] * 20_000))


@pytest.mark.parametrize("prompt", ["(?i)ROOT@DUT:/# ", re.compile("root@.*?# "), b"(x)|# ", "dut:/# |=> "])
def test_run_accepts_any_prompt_pattern(prompt: Pattern) -> None:
    with ShellTty(BASH, SHELLS["bash"][1]) as dut:
        dut.console.prompt = prompt
        dut.console.expect(prompt)

        assert dut.console.run("printf 'no end'; false") == CommandResult(1, "no end")


@pytest.mark.parametrize("prompt", ["[", ["# ", "> "], None])
def test_run_refuses_a_prompt_that_is_no_pattern(prompt: object) -> None:
    with ShellTty(SHELLS["sh"][0], {"PS1": "# "}) as dut:
        dut.console.expect("# ")
        dut.console.prompt = prompt  # type: ignore[assignment]

        with pytest.raises(UsageError, match="cannot wait for"):
            dut.console.run("true")


@pytest.mark.thorough
def test_run_finds_the_status_between_kernel_messages() -> None:
    chance = random.Random(20)  # noqa: S311 - the same noise each time

    def noise(data: bytes) -> bytes:
        at = chance.randrange(len(data) + 1)
        return data[:at] + KERNEL + data[at:] if chance.random() < 0.2 else data

    with ShellTty(BASH, SHELLS["bash"][1], noise) as dut:
        dut.console.expect(dut.console.prompt)

        statuses = [dut.console.run(f"echo said; (exit {status})").status for status in range(20)]

    assert statuses == list(range(20))
