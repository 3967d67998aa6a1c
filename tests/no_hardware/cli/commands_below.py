"""All commands of `hil`, with their full names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["commands_below"]


def commands_below(root: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and its listed subcommands, each with its full name."""
    yield name, root
    if isinstance(root, click.Group):
        context = click.Context(root)
        for below in root.list_commands(context):
            command = root.get_command(context, below)
            if command is not None:
                yield from commands_below(command, f"{name} {below}")
