"""A noun with verbs below it, which says what was meant by a verb that it does not know."""

from __future__ import annotations

import difflib

import click

from hil.errors import UsageError

__all__ = ["Nouns"]


class Nouns(click.Group):
    """Click's group, with the nearest match."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names.

        Raises:
            UsageError: There is none.
        """
        name = args[0]
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(name.lower(), self.commands, n=1)
        raise UsageError(
            f"{ctx.command_path} has no command {name!r}",
            why=f"it has {', '.join(sorted(self.commands))}",
            remedy=f"{ctx.command_path} {near[0]}" if near else f"{ctx.command_path} --help",
        )
