"""The board's shell: it reads commands from the serial port and writes answers (firmware: shell.rs)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.sim.board import shell_text as text
from hil.sim.board.line_editor import LineEditor
from hil.sim.board.shell_commands import AnswerBuffer, Commands, ShellStatus

if TYPE_CHECKING:
    from hil.sim.board.cpu import Task
    from hil.sim.board.serial_port import SerialPort

__all__ = ["Shell"]

_BARE_ANSWER_BYTES = 2
"""Size of an answer that holds only its first line break."""


class Shell:
    """The shell on the board's serial port.

    Args:
        port: Serial port for input and answers.
        status: Shared state; in console mode the shell prints no prompt.
        commands: Commands of the shell.
    """

    def __init__(self, port: SerialPort, status: ShellStatus, commands: Commands) -> None:
        self._port = port
        self._status = status
        self._commands = commands
        self._editor = LineEditor(text.COMMANDS)

    def work(self) -> Task:
        """Read all bytes that the port has, also those after a `console` command."""
        while byte := self._port.read(1):
            echo, line = self._editor.feed(byte[0])
            yield from self._port.write_all(echo)
            if line is not None:
                yield from self._run(line)

    def _run(self, line: str) -> Task:
        name, _, arguments = line.partition(" ")
        answer = AnswerBuffer()
        if self._commands.knows(name):
            yield from self._commands.run(name, answer, arguments)
        else:
            yield from self._port.write_all(self._direct(name).encode())
        if len(answer) > _BARE_ANSWER_BYTES:
            answer.write(text.CR)
        if not self._status.console_mode:
            answer.write(text.PROMPT)
        yield from self._port.write_all(bytes(answer))

    def _direct(self, name: str) -> str:
        """Return the output that is not limited to the answer's 512 bytes."""
        if name == "help":
            return text.HELP
        if name == "clear":
            self._editor.clear()
            return text.CLEAR_SCREEN
        return text.UNSUPPORTED
