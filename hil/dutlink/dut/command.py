"""Run one command at the DUT's shell, and return its output and exit status."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hil.dutlink.dut.marked_run import NOT_LOGGED_IN, MarkedRun, no_shell_error
from hil.dutlink.dut.prompt import pattern_at_end
from hil.dutlink.dut.prompt_command import run_by_prompt
from hil.dutlink.patterns.search import search
from hil.dutlink.timing import Deadline
from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.dutlink.dut.prompt import DutConsole, PromptTracker

__all__ = ["CommandResult", "run_command"]

_SHOWN: Final = 80
_TRIES: Final = 2
"""How often a marked line is typed: a program that still runs may read the first one."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command.

    Attributes:
        status: Its exit status; 0 is success.
        output: Its output, with lines that end in LF, without the last line's end, and with U+FFFD for bytes
            that are not UTF-8.
        raw: The same as the bytes of the console, where the DUT's tty ends lines by CR LF.
    """

    status: int
    output: str
    raw: bytes = field(default=b"", compare=False, repr=False)


def run_command(console: DutConsole, prompt: PromptTracker, command: str, timeout_s: float) -> CommandResult:
    """Run a command and wait for its end.

    The shell prints a mark before the command and another one after it; see `MarkedCommand`. A shell without
    `eval` and `printf`, such as U-Boot's, prints no mark; there the prompt shows where the command ends.

    Args:
        console: The console, at a shell.
        prompt: The tracker of the shell's prompt.
        command: One line or several, as in a script.
        timeout_s: Seconds that it may take.

    Raises:
        ExpectError: The command did not end in time, it ended the shell, or there is no shell.
        ConsoleError: The command printed more than the transcript keeps.
        UsageError: The command is empty or holds control characters.
    """
    _check(command)
    deadline = Deadline(timeout_s)
    prompt.observe(console)
    if prompt.is_csh:
        _check_for_csh(command)
    if NOT_LOGGED_IN.search(prompt.last_line):
        raise no_shell_error(console, command, "the last line on the console is a login prompt")
    for _ in range(0 if prompt.lacks_marks else _TRIES):
        result = MarkedRun(console, prompt, command, deadline).result()
        if result is None and prompt.is_csh:
            _check_for_csh(command)
            result = MarkedRun(console, prompt, command, deadline).result()
        if result is not None:
            return _result(*result)
    prompt.lacks_marks = True
    return _by_prompt(console, prompt, command, deadline)


def _check_for_csh(command: str) -> None:
    if "\n" in command:
        raise UsageError(
            f"the DUT's shell cannot be given {command[:_SHOWN]!r}",
            why="it is csh or tcsh, whose eval takes one line",
            remedy="console.run() each line, or console.run(\"sh -c '...'\")",
        )


def _by_prompt(console: DutConsole, prompt: PromptTracker, command: str, deadline: Deadline) -> CommandResult:
    """Run a command whose end only the prompt shows: by its pattern, or by the prompt shown now."""
    pattern = console.prompt
    if prompt.last_line.strip() and not search(pattern_at_end(pattern), prompt.last_line):
        console.prompt = re.escape(prompt.last_line)
    try:
        return _result(*run_by_prompt(console, command, deadline.left_s))
    finally:
        console.prompt = pattern


def _check(command: str) -> None:
    if command.strip() and command.replace("\n", "").replace("\t", "").isprintable():
        return
    raise UsageError(
        f"the DUT's shell cannot be given {command[:_SHOWN]!r}",
        why="a command is not empty, and holds no control characters except line ends and tabs",
        remedy="console.send() sends anything",
    )


def _result(status: int, output: bytes) -> CommandResult:
    text = output.decode(errors="replace").replace("\r\n", "\n").removesuffix("\n")
    return CommandResult(status, text, output)
