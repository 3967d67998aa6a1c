"""A noun with verbs below it, which says what was meant by a verb that it does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from hil.cli.common_options import SHORT
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CommandGroup", "Suggestion"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to type in place of a word that is no command of a group.

    Attributes:
        command: What follows the group's name, with `{words}` for what was typed; `--help` if none does it.
        why: Why the word is no command; empty: the commands that there are.
        missing: What stands for the argument that a word lacks when it is typed alone.
    """

    command: str = "--help"
    why: str = ""
    missing: str = ""

    def typed(self, words: Sequence[str]) -> str:
        """Return what to type after the group's name, where `words` were typed."""
        return self.command.format(words=" ".join(words if words[1:] else (*words, self.missing)))


class CommandGroup(click.Group):
    """Click's group, with `help` as a verb, the nearest match, and short helps that are whole.

    Args:
        instead: What to type in place of words that are no commands; of others the nearest command is told.
        attributes: Click's.
    """

    def __init__(self, *, suggestions: Mapping[str, Suggestion] | None = None, **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(**attributes)
        self._suggestions = suggestions or {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with the first sentence of its help; long ones are wrapped and not cut."""
        rows = [(name, self._short_help(ctx, name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    @staticmethod
    def _short_help(ctx: click.Context, name: str) -> str:
        """Return a command's short help; it need not be imported for it."""
        return SHORT.get(f"{ctx.command_path} {name}", "")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names.

        Raises:
            UsageError: There is none.
        """
        name = args[0]
        if name == "help" and not ctx.resilient_parsing:
            if not args[1:]:
                click.echo(ctx.get_help())
                ctx.exit()
            return super().resolve_command(ctx, [*args[1:], "--help"])
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        names = self.list_commands(ctx)
        suggestions = self._suggestions.get(name.lower()) or _nearest(name, names)
        raise UsageError(
            f"{ctx.command_path} has no command {name!r}",
            why=suggestions.why or f"it has {', '.join(names)}",
            remedy=f"{ctx.command_path} {suggestions.typed(args)}",
        )


def _nearest(name: str, names: Sequence[str]) -> Suggestion:
    from difflib import get_close_matches  # noqa: PLC0415 - for what was mistyped alone

    near = get_close_matches(name.lower(), names, n=1)
    return Suggestion(near[0]) if near else Suggestion()
