"""Login and shell on the simulated DUT's console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.sim.dut.command_line import (
    IncompleteCommandError,
    ShellSyntaxError,
    Word,
    expand_words,
    parse_commands,
)
from hil.sim.dut.commands import WRONG_USE, RunningSystem, printf, run
from hil.sim.dut.script import Script, Steps
from hil.sim.dut.terminal import DutTerminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.dut.uart import DutTransmitter
    from hil.sim.interfaces import Clock

__all__ = ["PASSWORD", "USER", "LoginSession"]

USER: Final = "root"
PASSWORD: Final = "hil"  # noqa: S105 - documented, for a simulated DUT

_BANNER: Final = "\r\nSimulated DUT, ttyS0\r\n\r\n"
_MOTD: Final = "Welcome to the simulated DUT; help lists its commands.\r\n"
_WRONG_PASSWORD_S: Final = 0.5
_INTERRUPTED: Final = 130


class LoginSession:
    """Asks for a login, runs commands until logout, and asks again.

    Args:
        clock: Simulated time.
        uart: UART for output.
        system: The system that commands act on.
    """

    def __init__(self, clock: Clock, uart: DutTransmitter, system: RunningSystem) -> None:
        self.terminal = DutTerminal(uart, self)
        self.logged_in = False
        self._clock = clock
        self._uart = uart
        self._machine = system
        self._answer: Callable[[str], None] = self._name_given
        self._script: Script[int] | None = None
        self._name = ""
        self._status = 0
        self._unfinished = ""
        self._greet()

    def close(self) -> None:
        """End the session and its running command, because the system goes down."""
        self.logged_in = False
        if self._script is not None:
            self._script.cancel()
            self._script = None

    def line(self, text: str) -> None:
        """Handle a typed line: a name, a password or a command."""
        self._answer(text)

    def interrupt(self) -> None:
        """Handle Ctrl-C: end the running command and drop its pending output."""
        if self._script is not None:
            self._script.cancel()
            self._script = None
        self._status = _INTERRUPTED
        self._unfinished = ""
        self._uart.clear()
        self._uart.send(b"^C\r\n")
        self._ask_again()

    def end(self) -> None:
        """Handle Ctrl-D: log out."""
        self._uart.send(b"logout\r\n" if self.logged_in else b"\r\n")
        self._greet()

    def _greet(self) -> None:
        self.logged_in = False
        self._uart.send(_BANNER.encode())
        self._ask_again()

    def _ask_again(self) -> None:
        if self.logged_in:
            self._ask("# ", self._command_given)
        else:
            self._ask("hil-dut login: ", self._name_given)

    def _ask(self, prompt: str, answer: Callable[[str], None], *, echo: bool = True) -> None:
        self._answer = answer
        self.terminal.ask(prompt, echo=echo)

    def _name_given(self, text: str) -> None:
        self._name = text.strip()
        if self._name:
            self._ask("Password: ", self._password_given, echo=False)
        else:
            self._ask_again()

    def _password_given(self, text: str) -> None:
        self._run(self._log_in() if (self._name, text) == (USER, PASSWORD) else self._refuse_login())

    def _log_in(self) -> Steps[int]:
        self.logged_in = True
        yield _MOTD
        return 0

    def _refuse_login(self) -> Steps[int]:
        yield _WRONG_PASSWORD_S
        yield "Login incorrect\r\n\r\n"
        return 0

    def _command_given(self, text: str) -> None:
        text = self._unfinished + text
        self._unfinished = ""
        try:
            commands = parse_commands(text)
        except IncompleteCommandError:
            self._unfinished = f"{text}\n"
            self._ask("> ", self._command_given)
        else:
            self._run(self._all(commands))

    def _all(self, commands: list[list[Word]]) -> Steps[int]:
        """Run commands one after the other; return the status of the last one."""
        for command in commands:
            words = yield from expand_words(command, self._status, self._all)
            self._status = yield from self._one(words)
        return self._status if commands else 0

    def _one(self, words: list[str]) -> Steps[int]:
        match words:
            case ["eval", *rest]:
                return (yield from self._eval(" ".join(rest)))
            case ["printf", form, *rest]:
                yield printf(form, rest)
                return 0
            case _:
                return (yield from run(self._machine, words))

    def _eval(self, text: str) -> Steps[int]:
        try:
            commands = parse_commands(text)
        except ShellSyntaxError:
            yield "sh: syntax error: unterminated quoted string\r\n"
            return WRONG_USE
        return (yield from self._all(commands))

    def _run(self, steps: Steps[int]) -> None:
        self._script = Script(self._clock, self._uart, steps, self._finished)
        self._script.start()

    def _finished(self, status: int) -> None:
        self._script = None
        self._status = status
        self._ask_again()
