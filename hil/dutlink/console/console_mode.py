"""The mode of the board behind a console: whether it may be in its shell, and a command there.

The mode outlives whoever set it, and the board tells it to nobody (see `shell`).
"""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from hil.dutlink.console.board_shell import ask_shell, restore_console_mode
from hil.dutlink.console.port import ConsolePort
from hil.dutlink.console.transcript import MarkKind, Transcript
from hil.errors import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.dutlink.console.board_shell import ShellAnswer
    from hil.dutlink.console.tty import Tty

__all__ = ["ConsoleMode"]


class ConsoleMode:
    """What one console knows of it. A console of the DUT's own has no such modes.

    Args:
        serial: The board's serial number.
        uart: The board's own tty, where the shell is.
        transcript: Is told when the DUT cannot be heard.
        allowance: Tells how many seconds a shell command may keep the board busy.

    Attributes:
        doubtful: Whether the board may be in its shell, where the DUT's output is dropped.
    """

    def __init__(
        self, serial: str, uart: Tty, transcript: Transcript, allowance: Callable[[str], float]
    ) -> None:
        self.doubtful = False
        self._serial = serial
        self._uart = uart
        self._transcript = transcript
        self._allowance = allowance

    def restore(self, port: ConsolePort) -> None:
        """Bring the board into console mode; a DUT with power gets five Ctrl-B for it.

        Raises:
            ShellError: It does not react.
        """
        if port.tty.is_board:
            with self._blind("the board is brought back to console mode"):
                restore_console_mode(port)
        self.doubtful = False

    def settle(self, port: ConsolePort) -> None:
        """Do so if the mode is open to doubt; never raises."""
        if self.doubtful:
            with suppress(ConsoleError):  # a board that does not react says so when it is used
                self.restore(port)

    def ask(self, port: ConsolePort, command: str, timeout_s: float) -> ShellAnswer:
        """Run a command at the board's prompt, at the console's tty or the board's own; see `Console.shell`.

        Raises:
            ShellError: No usable answer.
        """
        limit_s = timeout_s + self._allowance(command)
        if not port.tty.is_board:
            with closing(ConsolePort(self._uart, self._serial, Transcript())) as uart:
                return ask_shell(uart, command, limit_s)
        with self._blind(f"the board's shell runs {command!r}"):
            return ask_shell(port, command, limit_s)

    @contextmanager
    def _blind(self, text: str) -> Iterator[None]:
        """Mark which bytes are of the board's shell, and whether the board confirmed console mode."""
        self.doubtful = True
        self._transcript.mark(text, MarkKind.BLIND)
        try:
            yield
        except BaseException:
            self._transcript.mark("the board may still be in its shell", MarkKind.UNSURE)
            raise
        self._transcript.mark("the board is in console mode", MarkKind.HEARD)
        self.doubtful = False
