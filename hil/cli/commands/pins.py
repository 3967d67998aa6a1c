"""`hil pins`: the DUT's control pins, by hand."""

from __future__ import annotations

import click

from hil.cli.board_options import Asked, one_board
from hil.cli.command_groups import Instead, Nouns
from hil.cli.param_types import QUANTITY
from hil.cli.result import Answer
from hil.dutlink.pin_names import Level, Pin

__all__ = ["pins"]


_INSTEAD = {
    **dict.fromkeys(
        ("get", "read", "show", "list", "status"), Instead(why="the board does not tell how its pins are")
    ),
    **dict.fromkeys(
        ("a", "b", "c", "d"), Instead("set {words}", "a pin is driven by hil pins set", missing="LEVEL")
    ),
}


@click.group(cls=Nouns, instead=_INSTEAD)
def pins() -> None:
    """Drive a control pin, or leave it floating. The board does not tell how its pins are.

    \b
    hil pins set a high
    hil pins reset
    hil pins float
    """  # noqa: D301 - click's own escape


@pins.command("set")
@click.argument("pin", type=click.Choice([pin.value for pin in Pin], case_sensitive=False))
@click.argument("level", type=click.Choice([level.value for level in Level], case_sensitive=False))
@one_board
def set_(asked: Asked, pin: str, level: str) -> Answer:
    """Drive PIN low or high, or leave it floating. While the DUT is off, high waits for its power."""
    from hil.cli.board_context import using  # noqa: PLC0415 - the driver is for commands that use boards

    with using(asked, "hil pins set") as board:
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
    help="How long it is held low.",
)
@one_board
def reset(asked: Asked, duration_s: float) -> Answer:
    """Hold the reset pin low for a moment, then leave it floating."""
    from hil.cli.board_context import using  # noqa: PLC0415 - as above

    with using(asked, "hil pins reset") as board:
        board.pins.pulse_reset(duration_s)
        return Answer(
            {"board": board.serial, "pin": "reset", "level": "floating"},
            text=f"Held the reset pin of {board.label} low for {duration_s:g} s; it is floating.",
        )


@pins.command("float")
@one_board
def float_(asked: Asked) -> Answer:
    """Leave every pin floating."""
    from hil.cli.board_context import using  # noqa: PLC0415 - as above

    with using(asked, "hil pins float") as board:
        board.pins.float_all()
        return Answer(
            {"board": board.serial, "pin": "all", "level": "floating"},
            text=f"All pins of {board.label} are floating.",
        )
