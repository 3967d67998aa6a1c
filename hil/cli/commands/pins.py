"""`hil pins`: drive the DUT's control pins."""

from __future__ import annotations

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.command_groups import CommandGroup, Suggestion
from hil.cli.param_types import QUANTITY
from hil.cli.result import Answer
from hil.dutlink.usb.protocol import Level, Pin

__all__ = ["pins"]


_SUGGESTIONS = {
    **dict.fromkeys(
        ("get", "read", "show", "list", "status"),
        Suggestion(why="a board does not report the levels of its pins"),
    ),
    **dict.fromkeys(
        ("a", "b", "c", "d"), Suggestion("set {words}", "a pin is driven by hil pins set", missing="LEVEL")
    ),
}


@click.group(cls=CommandGroup, suggestions=_SUGGESTIONS)
def pins() -> None:
    """Drive a control pin, or let it float. A board does not report the levels of its pins.

    \b
    hil pins set a high
    hil pins reset
    hil pins float
    """  # noqa: D301 - click's own escape


@pins.command("set")
@click.argument("pin", type=click.Choice([pin.value for pin in Pin], case_sensitive=False))
@click.argument("level", type=click.Choice([level.value for level in Level], case_sensitive=False))
@board_command
def set_(selection: BoardSelection, pin: str, level: str) -> Answer:
    """Drive PIN low or high, or let it float. While the DUT is off, high waits for its power."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil pins set") as board:
        board.pins.set(pin, level)
        return Answer(
            {"board": board.serial, "pin": pin, "level": level},
            text=f"Pin {pin} of {board.label} is {level}.",
        )


@pins.command()
@click.option(
    "--for",
    "duration_s",
    type=QUANTITY,
    default=0.1,
    show_default=True,
    metavar="SECONDS",
    help="How long to hold it low.",
)
@board_command
def reset(selection: BoardSelection, duration_s: float) -> Answer:
    """Hold the reset pin low for a moment, then let it float."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil pins reset") as board:
        board.pins.pulse_reset(duration_s)
        return Answer(
            {"board": board.serial, "pin": "reset", "level": "floating"},
            text=f"Held the reset pin of {board.label} low for {duration_s:g} s; it is floating.",
        )


@pins.command("float")
@board_command
def float_(selection: BoardSelection) -> Answer:
    """Let all pins float."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil pins float") as board:
        board.pins.float_all()
        return Answer(
            {"board": board.serial, "pin": "all", "level": "floating"},
            text=f"All pins of {board.label} are floating.",
        )
