"""The command `hil` itself. It imports a command only when it is used, to start fast."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from hil.cli.command_groups import CommandGroup, Suggestion
from hil.cli.common_options import add_common_options
from hil.cli.help_texts import SHORT

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["COMMANDS", "Root"]

COMMANDS: Final = tuple(sorted(path.split()[1] for path in SHORT if path.count(" ") == 1))
"""Names of the commands. Each is in the module of its name."""


_SUGGESTIONS: Final = {
    word: Suggestion(command)
    for command, words in {
        "boards": ("ls", "list", "status", "devices"),
        "power on": ("on",),
        "power off": ("off",),
        "power cycle": ("cycle", "reboot"),
        "flash": ("write", "burn", "dd"),
        "console": ("serial", "tty", "uart"),
        "doctor": ("check", "diagnose"),
        "enroll": ("add", "register"),
        "lease": ("lock", "acquire"),
        "pins": ("gpio",),
        "settings": ("config",),
        "sim": ("start",),
    }.items()
    for word in words
}
"""Words that users of other tools type, with the command for each."""


class Root(CommandGroup):
    """The root group, which imports its commands on use."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(suggestions=_SUGGESTIONS, **attributes)
        add_common_options(self, "hil")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, without importing them, and options."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for completion

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=SHORT[f"hil {name}"]) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the names of the commands without importing them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Return a command, or None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            command: click.Command = getattr(import_module(f"hil.cli.commands.{cmd_name}"), cmd_name)
            self.add_command(command, cmd_name)
            add_common_options(command, f"hil {cmd_name}")
        return self.commands[cmd_name]
