"""`hil settings`: read and store the settings of a board."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.command_groups import CommandGroup
from hil.cli.result import Answer

__all__ = ["NAMES", "settings"]

NAMES = ("name", "tags", "usb_console", "power_on", "power_off", "power_rescue")
_NAME = click.Choice(NAMES)


@click.group(cls=CommandGroup)
def settings() -> None:
    """Read or store a board's settings: name, tags, usb_console, power_on, power_off, power_rescue.

    \b
    hil settings get
    hil settings get tags
    hil settings set name rack-3
    hil settings set power_on ""
    hil settings apply --board jetson-1
    """  # noqa: D301 - click's own escape


@settings.command()
@click.argument("name", type=_NAME, metavar="[NAME]", required=False)
@board_command
def get(selection: BoardSelection, name: str | None) -> Any:  # noqa: ANN401 - one or all of them
    """Print the setting NAME, or all of them."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil settings get") as board:
        kept = asdict(board.settings.read())
    return kept if name is None else kept[name]


@settings.command("set")
@click.argument("name", type=_NAME, metavar="NAME")
@click.argument("value")
@board_command
def set_(selection: BoardSelection, name: str, value: str) -> Answer:
    """Store VALUE as the setting NAME if it differs, and read it back. An empty VALUE clears the setting."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil settings set") as board:
        had = asdict(board.settings.read())[name]
        kept = asdict(board.settings.write(**{name: value}))
        what = f"{name} = {kept[name]!r}"
        text = f"Stored {what} on" if had != kept[name] else f"{what} was stored already on"
        return Answer(kept, text=f"{text} {board.label}.")


@settings.command()
@board_command
def apply(selection: BoardSelection) -> Answer:
    """Store the power sequences of the board's place in the lab file, if they differ."""
    from hil.cli.board_context import current_lab, use_board  # noqa: PLC0415 - the driver is imported on use

    lab = current_lab()
    with use_board(selection, "hil settings apply") as board:
        before = board.settings.read()
        changes = lab.differing_sequences(board.serial, before)
        board.settings.write(**changes)
    changed = {name: {"was": getattr(before, name), "is": text} for name, text in changes.items()}
    lines = [
        f"Stored {name} = {both['is']!r} on {board.label}; it was {both['was']!r}."
        for name, both in changed.items()
    ]
    nothing = f"Nothing to store: {board.label} has the power sequences of the lab file."
    data = {"board": board.serial, "place": lab.name_of(board.serial) or None, "changed": changed}
    return Answer(data, text="\n".join(lines) or nothing)
