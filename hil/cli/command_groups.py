"""A noun with verbs below it, which says what was meant by a verb that it does not know."""

from __future__ import annotations

from typing import Final

import click

from hil.cli.examples import SHORT
from hil.errors import UsageError

__all__ = ["Nouns"]


_SYNONYMS: Final = {
    "hil": {
        **dict.fromkeys(("ls", "list", "status", "devices"), "boards"),
        **dict.fromkeys(("on", "off", "cycle", "reboot"), "power"),
        **dict.fromkeys(("write", "burn", "dd"), "flash"),
        **dict.fromkeys(("serial", "tty", "uart"), "console"),
        **dict.fromkeys(("check", "diagnose"), "doctor"),
        **dict.fromkeys(("add", "register"), "enroll"),
        **dict.fromkeys(("lock", "acquire"), "lease"),
        "gpio": "pins",
        "config": "settings",
        "start": "sim",
    },
}
"""What people type who know other tools."""

_CANNOT: Final = {
    "hil pins": dict.fromkeys(
        ("get", "read", "show", "list", "status"), "the board does not tell how its pins are"
    ),
}
"""What no verb does, and why."""


_PINS: Final = ("a", "b", "c", "d", "reset")


class Nouns(click.Group):
    """Click's group, with `help` as a verb, the nearest match, and short helps that are whole."""

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
        if (why := _CANNOT.get(ctx.command_path, {}).get(name.lower())) is not None:
            raise UsageError(
                f"{ctx.command_path} has no command {name!r}", why=why, remedy=f"{ctx.command_path} --help"
            )
        if ctx.command_path == "hil pins" and name.lower() in _PINS:
            raise UsageError(
                f"hil pins has no command {name!r}",
                why="a pin is driven by hil pins set",
                remedy=" ".join(["hil pins set", *args] if args[1:] else ["hil pins set", name, "LEVEL"]),
            )
        from difflib import get_close_matches  # noqa: PLC0415 - for what was mistyped alone

        meant = _SYNONYMS.get(ctx.command_path, {}).get(name.lower())
        names = self.list_commands(ctx)
        near = [meant] if meant else get_close_matches(name.lower(), names, n=1)
        raise UsageError(
            f"{ctx.command_path} has no command {name!r}",
            why=f"it has {', '.join(names)}",
            remedy=f"{ctx.command_path} {near[0]}" if near else f"{ctx.command_path} --help",
        )
