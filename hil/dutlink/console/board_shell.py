"""Run commands at the board's own prompt, which is on the same tty as the DUT's console.

Five Ctrl-B in a row leave console mode, and the command `console` goes back. In between the board drops the
DUT's output. The mode stays as it is when the program that set it ends (firmware: main.rs, shell.rs).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from hil.dutlink.timing import Deadline
from hil.errors import ConsoleError, ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.console.port import ConsolePort
    from hil.dutlink.console.queues import ByteStream

__all__ = [
    "ESCAPE",
    "LONGEST_COMMAND",
    "ShellAnswer",
    "check_command",
    "dut_output",
    "ends_in_shell",
    "restore_console_mode",
    "run_shell_command",
]

ESCAPE = b"\x02" * 5
"""The bytes that leave console mode."""

LONGEST_COMMAND = 512
"""The most bytes of a line; the line editor rings the bell for more."""

_PROMPT = b"#> "
_END = b"\r\n" + _PROMPT
_LEFT = b"\r\nExiting console mode\r\n" + _PROMPT
_ENTERED = b"Entering console mode, type CTRL+B 5 times to exit\r\n"
_GO_BACK = ("console", "console ")
_NO_READINGS = "meter off"
_RUB_OUT = b"\x7f" * 32
_TO_THE_RIGHT = b"\x1b[C"
_BELL = b"\x07"
_CLEARED_WITHIN_S = 10.0
_REACTION_S = 1.0
_PAUSE_S = 0.05
_CUT_BYTES = 510
_LISTING = "get-config"
_LAST_LISTED = b"\r\npower_rescue: "
_CUT_QUIET_S = 0.5
_SHOWN = 80


class ShellAnswer(str):
    """The shell's answer, without echo and prompt, with lines that end in LF.

    Attributes:
        cut: Whether a part is missing because the answer is longer than the 512 bytes that the board has for
            it: its end with the prompt, or (in a list of the settings) a line that did not fit although the
            shorter prompt after it did (firmware: shell.rs).
    """

    __slots__ = ("cut",)
    cut: bool

    @classmethod
    def of(cls, raw: bytes, *, cut: bool) -> Self:
        """Return the answer for the bytes between the echo and the prompt."""
        answer = cls(raw.decode(errors="replace").replace("\r\n", "\n").strip("\r\n"))
        answer.cut = cut
        return answer


def ends_in_shell(said: bytes) -> bool:
    """Return True if these bytes of a console end at the board's prompt, by the board's messages."""
    return said.rfind(b"\r\nExiting console mode\r\n") > said.rfind(_ENTERED)


def dut_output(said: bytes) -> bytes:
    """Return the DUT's output among the bytes that came while the board was brought back to console mode."""
    before, left, shell = said.partition(_LEFT)
    _words, entered, after = (shell if left else said).rpartition(_ENTERED)
    if not entered:
        return said
    return before + after if left else after


def check_command(command: str) -> None:
    """Check that a command is safe for the line editor; characters beside printable ASCII can jam it.

    Raises:
        UsageError: The command is not one line of printable ASCII, of 512 characters at most.
    """
    if not (command.isascii() and command.isprintable()) or len(command) > LONGEST_COMMAND:
        raise UsageError(
            f"the board's shell cannot be given {command[:_SHOWN]!r}",
            why=f"a command is one line of printable ASCII, {LONGEST_COMMAND} characters at most",
            remedy="send TEXT takes \\n, \\r, \\t, \\e and others for control characters",
        )


def run_shell_command(port: ConsolePort, command: str, timeout_s: float) -> ShellAnswer:
    """Leave console mode, run one command, and go back, even after an error.

    Args:
        port: The board's own tty.
        command: The command, in one line.
        timeout_s: How long the answer may take, in seconds.

    Raises:
        ShellError: No usable answer came.
        ConsoleLostError: The tty went away.
    """
    check_command(command)
    if command in _GO_BACK:
        with _in_shell(port):
            pass
        return ShellAnswer.of(_ENTERED, cut=False)
    with _in_shell(port) as session:
        return session.ask(command, timeout_s)


def restore_console_mode(port: ConsolePort) -> None:
    """Bring the board to console mode, whichever mode it is in, and end its `meter on`.

    After the shell's command `meter on`, the board adds a reading after every CR of the DUT, until it is
    ended. A DUT that was connected receives five Ctrl-B, and its output of a few milliseconds is lost.

    Raises:
        ShellError: The board does not react.
    """
    with _in_shell(port) as session, suppress(ShellError):  # what counts is that it goes back to console mode
        session.ask(_NO_READINGS, _REACTION_S)


@contextmanager
def _in_shell(port: ConsolePort) -> Iterator[_ShellSession]:
    with port.diverted() as stream:
        session = _ShellSession(port, stream)
        said = b""
        try:
            said = session.leave_console_mode()
            with session.going_back():
                yield session
        finally:
            stream.put_back(said + session.rest)


class _ShellSession:
    """A dialog with the board over a tty; `rest` has the bytes that were not used yet."""

    def __init__(self, port: ConsolePort, stream: ByteStream) -> None:
        self.rest = b""
        self._port = port
        self._stream = stream

    def leave_console_mode(self) -> bytes:
        """Get to an empty command line, and return the DUT's output before that.

        A board that is in the shell already ignores the Ctrl-B. Then there may be half a command in its line,
        which must not run: it is deleted before CR asks for a prompt. Bytes that arrive together with the
        fifth Ctrl-B go to the DUT, so nothing else is sent before the board has reacted.
        """
        self._port.write(ESCAPE)
        said = self._until(_LEFT, _REACTION_S)
        if said is None:
            self._clear_line()
            self._port.write(b"\r")
            if self._until(_PROMPT, _REACTION_S) is None:
                raise self._no_answer("Ctrl-B", _REACTION_S)
            said = b""
        said = said.removesuffix(_LEFT)
        self._pause()
        said, self.rest = said + self.rest, b""
        return said

    def _clear_line(self) -> None:
        """Delete the characters in the board's line, before and after the cursor.

        The editor rings the bell if there is nothing to delete, and if the cursor cannot go right. Only a few
        keys are sent at a time: if this process is killed and its answers are not read, the board would hang.
        """
        deadline = Deadline(_CLEARED_WITHIN_S)
        for _ in range(2 * LONGEST_COMMAND // len(_RUB_OUT)):
            if deadline.passed:
                return
            if not self._rings(_RUB_OUT):
                continue
            if self._rings(_TO_THE_RIGHT):
                return
            self._rings(_TO_THE_RIGHT * (len(_RUB_OUT) - 2))

    def _rings(self, keys: bytes) -> bool:
        """Send keys, and return True if the bell answers any of them."""
        begin = len(self.rest)
        self._port.write(keys)
        self._pause()
        return _BELL in self.rest[begin:]

    def enter_console_mode(self) -> None:
        """Go back; the bytes after the board's message are the DUT's again."""
        self._port.write(b"console\r")
        if self._until(_ENTERED, _REACTION_S) is not None:
            return
        self.leave_console_mode()
        self._port.write(b"console\r")
        if self._until(_ENTERED, _REACTION_S) is None:
            raise self._no_answer("console", _REACTION_S)

    @contextmanager
    def going_back(self) -> Iterator[None]:
        """Go back to console mode after the block, also after an error."""
        try:
            yield
        except BaseException:
            with suppress(ConsoleError):
                self.enter_console_mode()
            raise
        self.enter_console_mode()

    def ask(self, command: str, timeout_s: float) -> ShellAnswer:
        """Run a command and return its answer."""
        deadline = Deadline(timeout_s)
        self._port.write(command.encode() + b"\r")
        if command and self._until(command.encode(), timeout_s) is None:
            raise self._no_answer(command, timeout_s)
        while _END not in self.rest:
            cut = len(self.rest) >= _CUT_BYTES
            quiet_s = min(_CUT_QUIET_S, deadline.left_s) if cut else deadline.left_s
            if deadline.passed or not self._receive(quiet_s):
                if not cut:
                    raise self._no_answer(command, timeout_s)
                answer, self.rest = self.rest, b""
                return ShellAnswer.of(answer, cut=True)
        answer, _, self.rest = self.rest.partition(_END)
        return ShellAnswer.of(answer, cut=command == _LISTING and _LAST_LISTED not in answer)

    def _until(self, wanted: bytes, limit_s: float) -> bytes | None:
        """Receive until `wanted` comes, and return the bytes up to its end, or None."""
        deadline = Deadline(limit_s)
        while wanted not in self.rest:
            if deadline.passed or not self._receive(deadline.left_s):
                return None
        before, found, self.rest = self.rest.partition(wanted)
        return before + found

    def _pause(self) -> None:
        """Receive until no byte comes for a moment, for one second at most."""
        deadline = Deadline(_REACTION_S)
        while not deadline.passed and self._receive(_PAUSE_S):
            pass

    def _receive(self, limit_s: float) -> bool:
        try:
            data = self._stream.take(limit_s)
        except EOFError:
            raise self._port.lost_error() from None
        self.rest += data
        return bool(data)

    def _no_answer(self, asked: str, limit_s: float) -> ShellError:
        return ShellError(
            f"the board's shell at {self._port.tty.path} did not answer {asked!r} within {limit_s:.1f} s",
            why=f"last came {self.rest[-_SHOWN:]!r}" if self.rest else "nothing came",
            remedy="during a power sequence it is silent: allow more time; else replug the board",
        )
