"""Type a command with marks around it, and wait for the marks; see `MarkedCommand` for what is typed."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.expect_error import DUT_IS_OFF, LAST_BYTES, SWITCH_ON, describe_last_line
from hil.dutlink.console.transcript import Chunk, MarkKind
from hil.dutlink.dut.login_questions import LOGIN_PROMPT, PASSWORD
from hil.dutlink.dut.marked_command import MarkedCommand
from hil.dutlink.dut.prompt import describe_prompt, pattern_at_end
from hil.dutlink.dut.shown_commands import shown_events
from hil.dutlink.timing import Deadline, until
from hil.errors import ConsoleError, ExpectError

if TYPE_CHECKING:
    import re

    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.dut.prompt import DutConsole, PromptTracker
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["NOT_LOGGED_IN", "MarkedRun", "no_shell_error", "said_since"]

_SHOWN: Final = 80
_QUIET_S: Final = 0.5
"""Seconds of silence after which a prompt means that the shell aborted the line, and prints no mark."""

_LONG_QUIET_S: Final = 2.0
"""The same for a line that only looks like a prompt."""

_LOOK_EVERY_S: Final = 0.1

_AHEAD_BYTES: Final = 1500
"""How many bytes typed lines may be ahead of their echo."""

_ECHO_LIMIT_S: Final = 0.3
_ECHO_LOOK_S: Final = 0.005

_ASK_AGAIN_S: Final = 5.0
"""Seconds after which the question for the status is typed again if no answer came."""

_ANSWER_LIMIT_S: Final = 2.0
NOT_LOGGED_IN: Final = pattern_at_end(LOGIN_PROMPT)
_ASKS_PASSWORD: Final = pattern_at_end(PASSWORD)


class _Match(enum.IntEnum):
    """What the shell may print, in the order of the patterns that are waited for."""

    END = 0
    ANSWER = 1
    PROBE_ANSWER = 2
    START = 3
    REFUSAL = 4


class MarkedRun:
    """One run of a command between marks.

    Args:
        console: The console.
        prompt: The tracker of the shell's prompt.
        command: The command.
        deadline: When it must have ended.
    """

    def __init__(self, console: DutConsole, prompt: PromptTracker, command: str, deadline: Deadline) -> None:
        self._console = console
        self._prompt = prompt
        self._marked = MarkedCommand(command, outer=tuple(prompt.unfinished), for_csh=prompt.is_csh)
        self._deadline = deadline
        self._begin = 0
        self._started = False
        self._asked: Deadline | None = None
        self._asked_at = 0

    def result(self) -> tuple[int, bytes] | None:
        """Type the command, wait for its end, and return its result; None if the shell cannot print marks."""
        self._console.discard()
        self._noted = self._console.transcript.mark(self._marked.command, MarkKind.COMMAND)
        self._begin = self._noted.position
        self._type(self._marked.typed())
        position, quiet = self._begin, Deadline(_LONG_QUIET_S)
        while True:
            try:
                came = self._console.expect(
                    self._awaited(),
                    min(_LOOK_EVERY_S, self._deadline.left_s),
                )
            except ExpectError:
                if self._console.transcript.position != position:
                    position, quiet = self._console.transcript.position, Deadline(_LONG_QUIET_S)
                self._check_progress(quiet.spent_s)
                continue
            if came.index == _Match.END and self._is_own_end(came.text("word")):
                return self._ended(int(came.group("status")))
            if came.index == _Match.ANSWER:
                return self._aborted(int(came.group(1)))
            if came.index == _Match.PROBE_ANSWER:
                self._console.transcript.shell.command_ended(self._begin, self._console.transcript.position)
                self._prompt.consume(self._console)
                return None
            if came.index == _Match.START:
                self._started = True
                self._note_system(self._marked.start)
            if came.index == _Match.REFUSAL:
                self._prompt.is_csh = True
                self._prompt.consume(self._console)
                return None

    def _awaited(self) -> list[Pattern]:
        """Return the patterns to wait for, in the order of `_Match`."""
        marked = self._marked
        return [marked.end, marked.answer, self._probe_answer, marked.start, marked.refusal]

    def _note_system(self, mark: re.Pattern[bytes]) -> None:
        """Note that the shell that printed this mark is a system's: no boot loader has `printf`."""
        transcript = self._console.transcript
        position = transcript.position
        said = transcript.between(self._begin, position)
        ends = [found.end() for found in mark.finditer(said)]
        transcript.shell.system_answered(position - len(said) + ends[-1] if ends else position)

    def _is_own_end(self, word: str) -> bool:
        """Return True if an end mark belongs to this command.

        The end mark of a command that ends its own shell (`exit`) is that of the outer shell. A mark that
        comes before this command starts belongs to an earlier command whose wait timed out.
        """
        unfinished = self._prompt.unfinished
        if word in unfinished:
            del unfinished[unfinished.index(word) :]
        return self._started or word == self._marked.word

    def _type(self, lines: list[str]) -> None:
        """Type lines, not far ahead of their echo, since a tty keeps no more than 4095 bytes."""
        transcript, due = self._console.transcript, self._begin - _AHEAD_BYTES
        for line in lines[:-1]:
            self._console.sendline(line)
            due += len(line)
            until(lambda end=due: transcript.position >= end, _ECHO_LIMIT_S, _ECHO_LOOK_S)  # type: ignore[misc]
        self._console.sendline(lines[-1])

    @property
    def _probe(self) -> str:
        return f"echo hil-{self._marked.word}-p$?-"

    @property
    def _probe_answer(self) -> str:
        return rf"hil-{self._marked.word}-p[0-9]{{1,10}}-"

    def _said(self) -> bytes:
        return said_since(self._console.transcript, self._begin, self._marked.command)

    def _ended(self, status: int) -> tuple[int, bytes]:
        self._note_system(self._marked.end)
        output = self._marked.output(self._said())
        if self._asked is not None:  # the shell still reads that line
            self._await_answer()
        self._prompt.consume(self._console)
        return status, output

    def _aborted(self, status: int) -> tuple[int, bytes]:
        """Return the result of a command whose line the shell aborted: by a syntax error, or `exec`."""
        self._note_system(self._marked.answer)
        self._prompt.unfinished.append(self._marked.word)
        said = self._said()
        if self._marked.is_cut(said):
            raise ExpectError(
                f"the status of {self._marked.command[:_SHOWN]!r} is lost",
                why="other output on the console cut every copy of the mark at its end",
                remedy="keep the kernel quiet: dmesg -n 1; or run it again",
            )
        prompt = self._prompt.consume(self._console)
        return status, self._prompt.strip_from(self._marked.output(said[: self._asked_at]), prompt)

    def _await_answer(self) -> None:
        try:
            self._console.expect(self._marked.answer, min(_ANSWER_LIMIT_S, self._deadline.left_s))
        except ExpectError:
            return

    def _check_progress(self, quiet_s: float) -> None:
        """Find out why no mark has come.

        Raises:
            ExpectError: The time is over, or there is no shell that could print one.
        """
        if quiet_s >= _QUIET_S:
            self._check_shell(quiet_s)
            is_due = self._asked is None or self._asked.passed
            if is_due and self._prompt.is_at_end(self._console, maybe=quiet_s >= _LONG_QUIET_S):
                self._asked = Deadline(_ASK_AGAIN_S)
                self._asked_at = self._console.transcript.position - self._begin
                if self._started:
                    self._console.transcript.mark("", MarkKind.COMMAND)
                self._console.sendline(self._marked.ask() if self._started else self._probe)
        if self._deadline.passed:
            self._prompt.unfinished.append(self._marked.word)
            raise self._not_ended() from None

    def _last_line(self) -> str:
        """Describe the last line of a command that started; else of all, with the command for its echo."""
        transcript = self._console.transcript
        shown = shown_events([self._noted, *transcript.events_between(self._noted)])
        said = b"".join(event.data for event in shown if isinstance(event, Chunk))
        before = transcript.between(max(0, self._begin - LAST_BYTES), self._begin)
        if self._started:
            before = self._marked.command.replace("\n", "\r\n> ").encode()
            said = said.removeprefix(before)
        return describe_last_line(self._console.serial, said, before)

    def _check_shell(self, quiet_s: float) -> None:
        last = self._console.unread()[-256:]
        command = self._marked.command
        if NOT_LOGGED_IN.search(last) and (quiet_s >= _LONG_QUIET_S or not self._started):
            what = "the command ended the shell" if self._started else "there is no shell"
            raise no_shell_error(self._console, command, f"{what}: a login prompt came")
        if not self._started and _ASKS_PASSWORD.search(last):
            raise no_shell_error(self._console, command, "the DUT asks for a password")

    def _not_ended(self) -> ExpectError:
        did = "did not end" if self._started else "did not start"
        if self._console.dut_is_off:
            hint = SWITCH_ON
        elif self._started:
            hint = 'allow more time, or end what runs: console.send("\\x03")'
        else:
            hint = (
                'console.login() first, or end what runs: console.send("\\x03"); '
                f"console.prompt = ... if the prompt is not {describe_prompt(self._console.prompt)}"
            )
        return ExpectError(
            f"{self._marked.command[:_SHOWN]!r} {did} within {self._deadline.spent_s:.1f} s",
            why=f"{DUT_IS_OFF}; {self._last_line()}" if self._console.dut_is_off else self._last_line(),
            remedy=hint,
            serial=self._console.serial,
        )


def said_since(transcript: Transcript, begin: int, command: str) -> bytes:
    """Return all bytes since a position of the transcript, which keeps more than `expect` does.

    Args:
        transcript: The console's transcript.
        begin: The position.
        command: The command that was typed there, for the error.

    Raises:
        ConsoleError: The bytes are more than the transcript keeps.
    """
    end = transcript.position
    said = transcript.between(begin, end)
    if len(said) < end - begin:
        raise ConsoleError(
            f"{command[:_SHOWN]!r} printed {end - begin} bytes, more than are kept",
            why=f"the newest {len(said)} bytes are in memory",
            remedy="have the DUT write it to a file, or shorten it there: | tail",
        )
    return said


def no_shell_error(console: DutConsole, command: str, why: str) -> ExpectError:
    """Return the error for a command if there is no shell to run it."""
    if console.dut_is_off:
        return ExpectError(
            f"{command[:_SHOWN]!r} has no shell to run in",
            why=DUT_IS_OFF,
            remedy=SWITCH_ON,
            serial=console.serial,
        )
    return ExpectError(
        f"{command[:_SHOWN]!r} has no shell to run in",
        why=why,
        remedy="console.login() first; a command that ends the shell can be sent by console.sendline()",
        serial=console.serial,
    )
