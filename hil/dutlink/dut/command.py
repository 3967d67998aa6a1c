"""Run one command at the DUT's shell, and return its output and exit status.

Marks show where the command ends (`MarkedRun`). A shell that has only `echo` and `$?`, such as U-Boot's,
cannot print them: there the next prompt shows the end (`run_by_prompt`).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.expect_error import PATTERN_ADVICE
from hil.dutlink.console.transcript import MarkKind
from hil.dutlink.dut.marked_run import NOT_LOGGED_IN, MarkedRun, no_shell_error, said_since
from hil.dutlink.dut.prompt import describe_prompt, pattern_at_end, wait_for_prompt
from hil.dutlink.patterns.search import search
from hil.dutlink.timing import Deadline
from hil.errors import ExpectError, UsageError

if TYPE_CHECKING:
    from hil.dutlink.dut.prompt import DutConsole, PromptTracker
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["CommandResult", "run_by_prompt", "run_command"]

_SHOWN: Final = 80
_PASTE_ENDS: Final = b"\x1b[?2004l\r"
"""The bytes that readline (bash since 5.1) prints after Enter, at the end of the echo."""

_PASTE_BEGINS: Final = b"\x1b[?2004h"
"""The bytes that readline prints before each prompt."""

_PROMPT_LIMIT_S: Final = 5.0
"""Seconds to wait for the prompt after the answer, which is complete without it."""

_WRAPS: Final = rb"[\r\n \x08]*"
"""The bytes that a shell's line editor inserts into its echo where a long line wraps."""

_LINE_END: Final = rb"[ \x08]*\r*\n?"
_SCROLLED: Final = b"\r<"
"""The beginning of a line that readline redraws because it is too long for a dumb terminal."""

_LAST_LETTERS: Final = 20
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


def run_by_prompt(console: DutConsole, command: str, timeout_s: float) -> tuple[int, bytes]:
    r"""Run a command and wait for its end.

    A second line asks the shell for `$?`, with a random word that no command prints. It asks twice, since a
    message of the kernel may interrupt one answer. If a part of the output looked like a prompt, that line
    was typed too early, and the shell reads it when the command has ended. The prompt after the answer has
    the same text as the one after the command.

    Args:
        console: The console, at a prompt.
        command: One line.
        timeout_s: Seconds that it may take.

    Returns:
        The exit status, and the output as it came.

    Raises:
        ExpectError: The command did not end in time.
        ConsoleError: The command printed more than the transcript keeps.
        UsageError: The command is not one line.
    """
    if "\n" in command:
        raise UsageError(
            f"the DUT's shell cannot be given {command[:_SHOWN]!r}",
            why="it has no eval and printf, so a command is one line",
            remedy="console.run() each line, or join them by ;",
        )
    word = f"hil-{secrets.token_hex(4)}"
    ask = f"echo {word}a$?-{word}b$?-"
    deadline = Deadline(timeout_s)
    try:
        console.discard()
        begin = console.transcript.position
        console.sendline(command)
        wait_for_prompt(console, deadline.left_s)
        console.transcript.mark("", MarkKind.COMMAND)
        console.sendline(ask)
        answer = console.expect(rf"{word}[ab]([0-9]{{1,10}})-", deadline.left_s)
    except ExpectError as error:
        raise _not_ended(console, command, deadline.spent_s, error) from error
    prompt = _next_prompt(console, deadline)
    said = said_since(console.transcript, begin, command).partition(answer.group())[0]
    console.transcript.shell.command_ended(begin, begin + len(said))
    return int(answer.group(1)), _output(said, command, ask, prompt, console.prompt)


def _next_prompt(console: DutConsole, deadline: Deadline) -> bytes:
    """Return the prompt after the answer's line; empty if a message of the kernel interrupts it."""
    try:
        after = console.expect(console.prompt, min(_PROMPT_LIMIT_S, deadline.left_s))
    except ExpectError:
        return b""
    return after.before.partition(b"\n")[2] + after.group()


def _not_ended(console: DutConsole, command: str, spent_s: float, error: ExpectError) -> ExpectError:
    return ExpectError(
        f"{command[:_SHOWN]!r} did not end on the console of board {error.serial} within {spent_s:.1f} s, "
        f"by the prompt {describe_prompt(console.prompt)}",
        why=error.why,
        remedy="allow more time; if there is another prompt, say so: console.prompt = ..."
        if error.remedy in PATTERN_ADVICE
        else error.remedy,
        serial=error.serial,
    )


def _output(said: bytes, command: str, ask: str, prompt: bytes, pattern: Pattern) -> bytes:
    """Return the command's own output, without echoes and prompt.

    Args:
        said: All bytes from the command's echo up to the answer.
        command: The command.
        ask: The line that asks for the status.
        prompt: The whole prompt; empty if a message of the kernel interrupts it.
        pattern: The pattern of the prompt.
    """
    asked = re.compile(_wrapped(ask) + _LINE_END)
    said = _without_prompt(_after_echo(said, command), prompt, pattern, asked)
    return asked.sub(b"", said)


def _after_echo(said: bytes, command: str) -> bytes:
    """Remove the command's echo, with the escape sequences of the shell's line editor around it."""
    if _PASTE_ENDS in said:
        return said.partition(_PASTE_ENDS)[2]
    echo = re.search(_wrapped(command) + _LINE_END, said)
    if echo is not None:
        return said[echo.end() :]
    line, _, rest = said.partition(b"\n")
    is_scrolled = _SCROLLED in line and line.rstrip().endswith(command.rstrip().encode()[-_LAST_LETTERS:])
    return rest if is_scrolled else said


def _without_prompt(said: bytes, prompt: bytes, pattern: Pattern, asked: re.Pattern[bytes]) -> bytes:
    """Remove the last prompt and what follows it, or its whole line if only the pattern matches."""
    ends = [prompt.split(b"\n", lines)[-1] for lines in range(prompt.count(b"\n") + 1)]
    for looks in filter(None, [prompt, _PASTE_BEGINS, *ends]):  # a message of the kernel may interrupt it
        before, found, _ = said.rpartition(looks)
        if found:
            return before
    echoes = list(asked.finditer(said))
    said = said[: echoes[-1].start()] if echoes else said
    line = said.rfind(b"\n") + 1
    return said[:line] if search(pattern_at_end(pattern), said[line:]) else said


def _wrapped(text: str) -> bytes:
    """Return a pattern for the echo of a text that wraps anywhere; readline repeats a letter there."""
    letters = (re.escape(bytes([byte])) for byte in text.encode())
    return _WRAPS.join(rb"%b(?:\r%b)?" % (letter, letter) for letter in letters)
