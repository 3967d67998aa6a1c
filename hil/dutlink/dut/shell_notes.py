"""Notes of the DUT's shell, by positions in the transcript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ShellNotes"]

_KEPT_COMMANDS: Final = 1000


@dataclass(slots=True)
class ShellNotes:
    """Notes that, unlike the transcript's marks, no report shows.

    Attributes:
        system_at: The last position at which a system's shell had answered; -1 before that.
        commands: Begin and end of commands in a shell that may be a boot loader's.
    """

    system_at: int = -1
    commands: tuple[tuple[int, int], ...] = ()

    def system_answered(self, position: int) -> None:
        """Note that a system's shell has answered before this position."""
        self.system_at = max(self.system_at, position)

    def command_ended(self, begin: int, end: int) -> None:
        """Note that the bytes between these positions are a command's."""
        self.commands = (*self.commands, (begin, end))[-_KEPT_COMMANDS:]
