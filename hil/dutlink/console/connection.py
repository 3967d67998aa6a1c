"""The open tty of a console, and whether the board is in console mode.

A board that was left in its shell drops the DUT's output, and no request tells the mode. The mode can be
found out only by sending bytes, which a DUT in console mode would receive (see
`hil.dutlink.console.board_shell`). So `ensure_console_mode` does that only while the mode is uncertain, at
moments at which it disturbs no DUT.
"""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING
from weakref import finalize

from hil.dutlink.console.board_shell import restore_console_mode, run_shell_command
from hil.dutlink.console.expect import Expecter
from hil.dutlink.console.port import ConsolePort
from hil.dutlink.console.transcript import MarkKind, Transcript
from hil.dutlink.timing import until
from hil.dutlink.usb.request_log import count_request
from hil.errors import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.dutlink.console.board_shell import ShellAnswer
    from hil.dutlink.console.tty import Tty
    from hil.dutlink.usb.access import Access

__all__ = ["NODE_LIMIT_S", "ConsoleConnection"]

NODE_LIMIT_S = 3.0
"""Seconds to wait for the tty's node: udev needs a moment after a board was plugged in."""

_STARTS_DUT = ("power", "pin", "reset")
"""The shell's commands after which the DUT may start."""


class ConsoleConnection:
    """The connection of one console.

    Args:
        serial: The board's serial number.
        find: Returns the console's tty; called at each opening.
        uart: The board's own tty, where its shell is.
        transcript: The console's transcript.
        access: Permission to use the board.
        unpowered: Returns True if the DUT certainly has no power.
        allowance: Returns for how many seconds a shell command may keep the board busy.

    Attributes:
        mode_is_uncertain: Whether the board may be in its shell.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the last four are the board's
        self,
        serial: str,
        find: Callable[[], Tty],
        uart: Tty,
        transcript: Transcript,
        access: Access,
        unpowered: Callable[[], bool],
        allowance: Callable[[str], float],
    ) -> None:
        self.mode_is_uncertain = False
        self._serial = serial
        self._find = find
        self._uart = uart
        self._transcript = transcript
        self._access = access
        self._unpowered = unpowered
        self._allowance = allowance
        self._port: ConsolePort | None = None
        self._unclosed: finalize[[ConsolePort], ConsoleConnection] | None = None
        self._expecter: Expecter | None = None

    @property
    def is_open(self) -> bool:
        """Whether the tty is open; it may have gone away since it was opened."""
        return self._port is not None

    @property
    def is_lost(self) -> bool:
        """Whether the tty went away while it was open."""
        return self._port is not None and self._port.lost

    @property
    def tty(self) -> Tty:
        """The tty that is open, or that would be opened."""
        return self._port.tty if self._port is not None else self._find()

    def open(self, wait_s: float = NODE_LIMIT_S) -> ConsolePort:
        """Return the open port; open it first if it is not open.

        Raises:
            ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: The tty cannot be opened.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        count_request(self._serial)
        return self._port or self._start(wait_s)

    def close(self) -> None:
        """Close the tty; harmless if it is not open."""
        port, self._port, self._expecter = self._port, None, None
        if port is not None:
            if self._unclosed is not None:
                self._unclosed.detach()
            port.close()

    def check(self) -> None:
        """Check that the tty did not go away while it was open.

        Raises:
            ConsoleLostError: The tty went away.
        """
        if self._port is not None and self._port.lost:
            raise self._port.lost_error()

    def drain(self) -> None:
        """Have every byte that came to this host in the transcript; harmless if the tty is not open."""
        if self._port is not None:
            self._port.drain()

    def expecter(self) -> Expecter:
        """Return the expecter of the open port; open it first if it is not open."""
        port = self.open()
        if self._expecter is None:
            self._expecter = Expecter(port.stream)
        return self._expecter

    def ensure_console_mode(self) -> None:
        """Bring the board to console mode if its mode is uncertain; errors are ignored.

        A DUT that has power receives five Ctrl-B.
        """
        if self._port is not None and self.mode_is_uncertain:
            with suppress(ConsoleError):  # a board that does not react fails at the next use, with its reason
                self._restore(self._port)

    def restore_console_mode(self) -> None:
        """Bring the board to console mode; a DUT that has power receives five Ctrl-B.

        Raises:
            ShellError: The board does not react.
        """
        self._restore(self.open())

    def run_shell_command(self, command: str, timeout_s: float) -> ShellAnswer:
        """Run a command at the board's prompt, on this tty or on the board's own; see `Console.shell`.

        Raises:
            ShellError: No usable answer came.
        """
        port = self.open()
        limit_s = timeout_s + self._allowance(command)
        if not port.tty.is_board:
            with closing(ConsolePort(self._uart, self._serial, Transcript())) as uart:
                return run_shell_command(uart, command, limit_s)
        starts_dut = command.split()[:1] in ([word] for word in _STARTS_DUT)
        with self._blind(f"the board's shell runs {command!r}", starts_dut=starts_dut):
            return run_shell_command(port, command, limit_s)

    def _start(self, wait_s: float) -> ConsolePort:
        tty = self._find()
        until(tty.path.exists, wait_s)
        self._port = port = ConsolePort(tty, self._serial, self._transcript, self._access)
        self._unclosed = finalize(self, _close_in_thread, port)
        self._unclosed.atexit = False
        self._transcript.mark(f"console {tty.path} is open", MarkKind.CONSOLE_OPEN)
        self.mode_is_uncertain = tty.is_board
        if tty.is_board and self._unpowered():
            self.ensure_console_mode()
        return port

    def _restore(self, port: ConsolePort) -> None:
        if port.tty.is_board:
            with self._blind("the board is brought back to console mode"):
                restore_console_mode(port)
        self.mode_is_uncertain = False

    @contextmanager
    def _blind(self, text: str, *, starts_dut: bool = False) -> Iterator[None]:
        """Mark the bytes of the board's shell, and whether the board confirmed console mode at the end."""
        self.mode_is_uncertain = True
        self._transcript.mark(text, MarkKind.BLIND, starts_dut=starts_dut)
        try:
            yield
        except BaseException:
            self._transcript.mark("the board may still be in its shell", MarkKind.UNSURE)
            raise
        self._transcript.mark("the board is in console mode", MarkKind.HEARD)
        self.mode_is_uncertain = False


def _close_in_thread(port: ConsolePort) -> None:
    """Close the port of a console to which nothing refers any more, and so let others open its tty."""
    threading.Thread(target=port.close, name=f"closer of {port.tty.path}").start()
