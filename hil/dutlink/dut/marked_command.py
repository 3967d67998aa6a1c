r"""Build a line that prints a mark before the command and another one, with its exit status, after it.

The same line works in POSIX shells and in fish, which differ in the name of the exit status: in fish, `\x24`
is a dollar sign and `\x23` begins a comment; in other shells both are plain letters. So `eval printf ...
\x24status \x23 "$?"` prints `$status` in fish and `$?` in the others. The typed line contains no mark, since
`printf` joins two halves.

csh and tcsh have the status in `$status` too, but not within `eval`, and must not run the same line. It
begins with `: '!...'`, which is a history event for them even in quotes. There is no such event, so they
print an error and run nothing; they get a line of their own.

The command's output is what is between the marks: the echo, prompts and the line editor's escape sequences
come before the first mark or after the last one.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from hil.dutlink.dut.shell_escapes import KERNEL_TIME, without_like

__all__ = ["MarkedCommand", "quoted"]

_ONE_LINE_CHARACTERS: Final = 640
"""The longest line that is typed in one piece; BusyBox' line editor accepts 1023, and a tty 4095."""

_PIECE_CHARACTERS: Final = 200
_ODD: Final = re.compile(r"[^ -~\n]+")
_HISTORY: Final = re.compile(r"[!^]")
"""Characters of history expansion, which some shells do even in the second line of a quoted text."""

_NOISE: Final = rb"(?:(?:\r?\n)?" + KERNEL_TIME + rb"[^\n]{0,1024}\n)?"
"""A message of the kernel, which may come between any two letters."""


def quoted(command: str, *, in_lines: bool) -> str:
    """Quote a command as one word for POSIX shells and fish, in printable ASCII and line feeds.

    Args:
        command: The command.
        in_lines: Whether the word may continue over several typed lines.
    """
    word = command.replace("\\", "\0").replace("'", r"'\''").replace("\0", r"'\\'")
    word = _HISTORY.sub(r"'\\\g<0>'", word) if in_lines else word
    return "'" + _ODD.sub(lambda found: f"""'"$({_print_command(found.group())})"'""", word) + "'"


def _print_command(text: str) -> str:
    octal = "".join(f"\\{byte:03o}" for byte in text.encode())
    return f"printf '{octal}'"


@dataclass(frozen=True, slots=True)
class MarkedCommand:
    """A command with marks around it.

    Attributes:
        command: The command, in one line or several.
        word: A random word in the marks, which no command prints.
        ask_word: A random word in the question for the status.
        outer: The words of earlier lines, whose end marks come when a command ends its own shell.
        for_csh: Whether the lines are for csh and tcsh.
    """

    command: str
    word: str = field(default_factory=lambda: secrets.token_hex(4))
    ask_word: str = field(default_factory=lambda: secrets.token_hex(4))
    outer: tuple[str, ...] = ()
    for_csh: bool = False

    @property
    def _word(self) -> bytes:
        return self.word.encode()

    def typed(self) -> list[str]:
        """Return the lines to type."""
        if self.for_csh:
            return [_csh_line(self.command, self.word)]
        line = self._line(quoted(self.command, in_lines=False))
        if len(line) <= _ONE_LINE_CHARACTERS and "\n" not in line:
            return [line]
        return self._line(_in_pieces(self.command)).split("\n")

    def ask(self) -> str:
        """Return the line that asks for the last status, after a line that the shell aborted."""
        return (
            f" {_csh_status_command(self.ask_word) if self.for_csh else _status_command(self.ask_word)};echo"
        )

    @property
    def start(self) -> re.Pattern[bytes]:
        """The pattern of the mark before the command."""
        return re.compile(rb"hil-%b-[st]" % self._word)

    @property
    def end(self) -> re.Pattern[bytes]:
        """The pattern of the end mark, with the groups `status` and `word`."""
        words = "|".join([self.word, *self.outer]).encode()
        return re.compile(rb"-(?P<word>%b)-[efgh](?P<status>[0-9]{1,3})\." % words)

    @property
    def refusal(self) -> re.Pattern[bytes]:
        """The pattern of the error of csh and tcsh for a line for other shells."""
        return re.compile(rb"hil%b: Event not found" % self._word)

    @property
    def answer(self) -> re.Pattern[bytes]:
        """The pattern of the answer to `ask`."""
        return re.compile(rb"-%b-[efgh]([0-9]{1,3})\." % self.ask_word.encode())

    def begin_of_output(self, said: bytes) -> int:
        """Return the position of the output in these bytes: after the marks before the command."""
        first = self._mark("s").search(said)
        begin = first.end() if first else 0
        second = self._mark("t").search(said, begin)
        return second.end() if second else begin

    def output(self, said: bytes) -> bytes:
        """Return the bytes between the marks, or all after the first mark if there is no end mark."""
        begin = self.begin_of_output(said)
        end = (
            self._mark("e").search(said, begin)
            or self._outer_mark(said, begin)
            or self.end.search(said, begin)
        )
        output = said[begin : end.start() if end else len(said)]
        output = re.sub(re.escape(self.ask().encode()) + rb"\r?\n", b"", output)
        each_time = re.search(rb"-%b-s(.*?)hil-%b-t" % (self._word, self._word), said[:begin], re.DOTALL)
        return self._without_trace(output, each_time.group(1)) if each_time else output

    def _without_trace(self, output: bytes, each_time: bytes) -> bytes:
        """Remove what the shell prints before each simple command: a trap's marks, the trace of `set -x`.

        Args:
            output: The command's output.
            each_time: The bytes between the two marks before the command, which the shell prints each time.
        """
        output = without_like(output, each_time)
        output = re.sub(rb"[^\n]*-%b-e x24status[^\n]*\n" % self._word, b"", output)
        traced = re.search(rb"([^\n]*)printf ['\"]?hil", each_time)
        if traced is not None and output.startswith(traced.group(1) + b"eval "):
            return output.partition(b"\n")[2]
        return output

    def is_cut(self, said: bytes) -> bool:
        """Return True if only pieces of the end mark came, since other output interrupts its copies."""
        halves = (self.word[:4].encode(), self.word[4:].encode())
        return re.search(rb"hil(?:x23)?-%b|%b-[efgh][x0-9]" % halves, self.output(said)) is not None

    def _line(self, word: str) -> str:
        not_csh = f": '!hil{self.word}'"
        return f" {not_csh};{_start_commands(self.word)};eval {word};{_status_command(self.word)};echo"

    def _outer_mark(self, said: bytes, begin: int) -> re.Match[bytes] | None:
        words = "|".join(self.outer).encode()
        return re.compile(rb"hil-(?:%b)-e" % words).search(said, begin) if words else None

    def _mark(self, letter: str) -> re.Pattern[bytes]:
        """Return a pattern that matches a mark, with or without a message of the kernel in it."""
        text = f"hil-{self.word}-{letter}".encode()
        return re.compile(_NOISE.join(re.escape(bytes([byte])) for byte in text))


def _status_command(word: str) -> str:
    r"""Return a command that prints the exit status four times: twice for fish, twice for POSIX shells.

    Of two copies, other output on the console may interrupt one.
    """
    return (
        rf"eval printf hil%s%s. -{word}-e \x24status -{word}-f \x24status "
        rf"""\x23-{word}-g '"$?"' -{word}-h '"$?"'"""
    )


def _start_commands(word: str) -> str:
    return f"printf hil%ss -{word}-;printf hil%st -{word}-"


def _csh_line(command: str, word: str) -> str:
    word_by_word = command.replace("'", r"'\''").replace("!", r"'\!'")
    run = "'" + _ODD.sub(lambda found: f"""'"`{_print_command(found.group())}`"'""", word_by_word) + "'"
    return f" {_start_commands(word)};eval {run};{_csh_status_command(word)};echo"


def _csh_status_command(word: str) -> str:
    return f"printf hil%s%s. -{word}-e $status"


def _in_pieces(command: str) -> str:
    """Quote a long command over several lines, each of them short."""
    size = _PIECE_CHARACTERS if command.isascii() else _PIECE_CHARACTERS // 4
    lines = "\n".join(
        "'\\\n'".join(
            quoted(line[begin : begin + size], in_lines=True)[1:-1]
            for begin in range(0, max(1, len(line)), size)
        )
        for line in command.split("\n")
    )
    return f"'{lines}'"
