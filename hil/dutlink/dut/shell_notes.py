"""What the DUT printed for a command, and when its shell proved to be a system's; by transcript positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ShellNotes"]

_KEPT_COMMANDS: Final = 1000


@dataclass(slots=True)
class ShellNotes:
    """Notes of the DUT's shell that no report shows, unlike the transcript's marks.

    Attributes:
        system_at: The last position at which a system's shell had answered; -1 before that.
        commands: Begin and end of the commands that ended in a shell that may be a boot loader's.
    """

    system_at: int = -1
    commands: tuple[tuple[int, int], ...] = ()

    def system_answered(self, position: int) -> None:
        """Note that at this position the shell was a system's."""
        self.system_at = max(self.system_at, position)

    def command_ended(self, begin: int, end: int) -> None:
        """Note that what came between these positions belongs to a command."""
        self.commands = (*self.commands, (begin, end))[-_KEPT_COMMANDS:]
