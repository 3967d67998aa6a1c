"""One command at the prompt of the DUT's shell: its output, and how it ended."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from hil.dutlink.waiting import Deadline
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.expecting import Expected, Pattern
    from hil.dutlink.transcript import Transcript

__all__ = ["CommandResult", "Talk", "run_command"]

_SHOWN: Final = 80
_WRAPS: Final = rb"[\r\n \x08]*"
"""What a shell's line editor puts between two letters of its echo where a long line wraps."""


class Talk(Protocol):
    """What is needed of a console."""

    prompt: Pattern
    transcript: Transcript

    def sendline(self, line: bytes | str = b"") -> None:
        """Send a line."""
        ...

    def expect(self, pattern: Pattern | Sequence[Pattern], timeout_s: float = 30.0) -> Expected:
        """Wait for words."""
        ...

    def discard(self) -> None:
        """Forget what came."""
        ...


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended.

    Attributes:
        status: Its exit status; 0 is success.
        output: What it printed, lines ended by LF, without the last line's end.
    """

    status: int
    output: str


def run_command(talk: Talk, command: str, timeout_s: float) -> CommandResult:
    r"""Run a command and wait for its end.

    The shell is asked for `$?` in a line of its own, with a word that no command prints. If something in the
    output looked like a prompt, that line was typed too early: the shell reads it when the command has ended.

    Args:
        talk: The console, at a prompt.
        command: One line.
        timeout_s: Seconds that it may take.

    Raises:
        ExpectError: It did not end in time.
        UsageError: The command is not one line.
    """
    if not command.strip() or not command.isprintable():
        raise UsageError(
            f"the DUT's shell cannot be given {command[:_SHOWN]!r}",
            why="a command is one line, without control characters",
            remedy="console.send() sends anything; join commands by ; or &&",
        )
    word = f"hil-{secrets.token_hex(4)}-"
    ask = f"echo {word}$?-"
    deadline = Deadline(timeout_s)
    talk.discard()
    talk.sendline(command)
    before = talk.expect(talk.prompt, deadline.left_s)
    talk.sendline(ask)
    answer = talk.expect(rf"{word}([0-9]+)-", deadline.left_s)
    talk.expect(talk.prompt, deadline.left_s)
    said = before.before + before.group() + answer.before
    return CommandResult(int(answer.group(1)), _output(said, command, ask, talk.prompt))


def _output(said: bytes, command: str, ask: str, prompt: Pattern) -> str:
    """Leave the command's own words of what came: both echoes and the last prompt go."""
    echo = re.search(_wrapped(command) + rb"[ \x08]*\r*\n?", said)
    said = said[echo.end() :] if echo else said
    asked = re.search(_wrapped(ask) + rb"[ \x08]*\r*\n?", said)
    if asked is not None:
        said = _without_prompt(said[: asked.start()], prompt) + said[asked.end() :]
    said = re.sub(_without_groups(prompt) + rb"\Z", b"", said)
    return said.decode(errors="replace").replace("\r\n", "\n").removesuffix("\n")


def _without_prompt(said: bytes, prompt: Pattern) -> bytes:
    """Drop the prompt at the end with all of its line: the path in front of `$ ` belongs to it."""
    line = said.rfind(b"\n") + 1
    return said[:line] if re.search(_without_groups(prompt) + rb"\Z", said[line:], re.DOTALL) else said


def _without_groups(prompt: Pattern) -> bytes:
    source = prompt.pattern if isinstance(prompt, re.Pattern) else prompt
    return b"(?:" + (source.encode() if isinstance(source, str) else source) + b")"


def _wrapped(text: str) -> bytes:
    """Match the echo of a text, wherever its lines wrap."""
    return _WRAPS.join(re.escape(bytes([byte])) for byte in text.encode())
