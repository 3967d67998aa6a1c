"""The command `hil`, which imports a command when it is used, and groups that know what was meant."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil.cli.common_options import add_common_options
from hil.cli.help_texts import SHORT
from hil.errors import UsageError
from hil.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from click.shell_completion import CompletionItem

__all__ = ["COMMANDS", "CommandGroup", "Root", "Suggestion"]


class Suggestion(NamedTuple):
    """What to type in place of a word that is no command of a group.

    Attributes:
        command: Text after the group's name, with `{words}` for the typed words; `--help` if no command fits.
        why: Why the word is no command; may be empty.
        missing: Placeholder for an argument that is missing if the word is typed alone.
    """

    command: str = "--help"
    why: str = ""
    missing: str = ""

    def typed(self, words: Sequence[str]) -> str:
        """Return the text after the group's name that replaces `words`."""
        return self.command.format(words=" ".join(words if words[1:] else (*words, self.missing)))


class CommandGroup(click.Group):
    """Click's group, with a command `help`, a suggestion for unknown words, and short helps that are not cut.

    Args:
        suggestions: Suggestions for words that are no commands. For other words the error names the nearest
            command, or lists all.
        attributes: Click's.
    """

    def __init__(self, *, suggestions: Mapping[str, Suggestion] | None = None, **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(**attributes)
        self._suggestions = suggestions or {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their short helps; long ones are wrapped, not cut."""
        rows = [(name, self._short_help(ctx, name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    @staticmethod
    def _short_help(ctx: click.Context, name: str) -> str:
        """Return a command's short help without importing the command."""
        return SHORT.get(f"{ctx.command_path} {name}", "")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names.

        Raises:
            UsageError: There is no such command.
        """
        name = args[0]
        if name == "help" and not ctx.resilient_parsing:
            if not args[1:]:
                click.echo(ctx.get_help())
                ctx.exit()
            return self.resolve_command(ctx, [*args[1:], "--help"])
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        names = self.list_commands(ctx)
        what = f"{ctx.command_path} has no command {name!r}"
        if suggestion := self._suggestions.get(name.lower()):
            raise UsageError(what, why=suggestion.why, remedy=f"{ctx.command_path} {suggestion.typed(args)}")
        if near := nearest(name, names):
            from shlex import join  # noqa: PLC0415 - only after a typing error

            raise UsageError(what, remedy=join([*ctx.command_path.split(), near, *args[1:]]))
        raise UsageError(what, why=f"it has {', '.join(names)}", remedy=f"{ctx.command_path} --help")


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
