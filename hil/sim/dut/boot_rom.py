"""The two prompts of the simulated DUT's boot ROM: `boot> ` without a bootable image, and rescue mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.sim.dut.terminal import DutTerminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.dut.uart import DutTransmitter

__all__ = ["ROM_VERSION", "BootPrompt", "RescuePrompt"]

ROM_VERSION: Final = "hil boot ROM 1.0"


class BootPrompt:
    """Waits for Enter, then tries to boot again.

    Args:
        uart: UART for output.
        retry: Called on Enter; text typed before it is ignored.
    """

    def __init__(self, uart: DutTransmitter, retry: Callable[[], None]) -> None:
        self.terminal = DutTerminal(uart, self)
        self._retry = retry
        self._ask()

    def line(self, text: str) -> None:  # noqa: ARG002 - any line counts
        """Try to boot again."""
        self._retry()

    def interrupt(self) -> None:
        """Print the prompt again after Ctrl-C."""
        self._ask()

    def end(self) -> None:
        """Print the prompt again after Ctrl-D."""
        self._ask()

    def _ask(self) -> None:
        self.terminal.ask("Press Enter to try again.\r\nboot> ")


class RescuePrompt:
    """Rescue mode: three commands, no login.

    Args:
        uart: UART for output.
        boot: Called for the command `boot`.
    """

    def __init__(self, uart: DutTransmitter, boot: Callable[[], None]) -> None:
        self.terminal = DutTerminal(uart, self)
        self._uart = uart
        self._boot = boot
        self._uart.send(f"\r\n{ROM_VERSION}\r\nrescue mode\r\n".encode())
        self._ask()

    def line(self, text: str) -> None:
        """Run a command."""
        command = text.strip()
        if command == "boot":
            self._boot()
            return
        self._uart.send(_rescue_answer(command).encode())
        self._ask()

    def interrupt(self) -> None:
        """Print the prompt again, on a new line, after Ctrl-C."""
        self._uart.send(b"^C\r\n")
        self._ask()

    def end(self) -> None:
        """Print the prompt again after Ctrl-D."""
        self._ask()

    def _ask(self) -> None:
        self.terminal.ask("rescue> ")


def _rescue_answer(command: str) -> str:
    match command:
        case "":
            return ""
        case "help":
            return "boot     boot the stick's image\r\nhelp     this\r\nversion  of the boot ROM\r\n"
        case "version":
            return f"{ROM_VERSION}\r\n"
        case _:
            return f"unknown command: {command}\r\n"
