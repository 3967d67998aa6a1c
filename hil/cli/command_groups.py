"""A command group that suggests a command for an unknown word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hil.cli.help_texts import SHORT
from hil.errors import UsageError
from hil.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CommandGroup", "Suggestion"]


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
