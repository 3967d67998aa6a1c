"""`hil power`: the DUT's supply and its meter, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hil.cli.nouns import Nouns
from hil.cli.one_board import Asked, one_board
from hil.cli.quantities import QUANTITY

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["power"]

_VERBS = {
    "on": "Run the board's power_on sequence, or switch the supply on where there is none.",
    "off": "Run the board's power_off sequence, or switch the supply off where there is none.",
    "force-on": "Switch the supply on at once, whatever the sequences say.",
    "force-off": "Switch the supply off at once, whatever the sequences say.",
    "rescue": "Run the board's power_rescue sequence.",
}


@click.group(cls=Nouns)
def power() -> None:
    """Switch the DUT's supply, or read its meter. The DUT stays as it was left.

    \b
    hil power on
    hil power cycle --pause 5 --board 0df10035
    hil --json power read
    """  # noqa: D301 - click's own escape


def _verb(name: str, text: str) -> click.Command:
    @one_board
    def act(asked: Asked) -> dict[str, Any]:
        from hil.cli.using_board import using  # noqa: PLC0415 - the driver is for commands that use boards

        with using(asked, f"hil power {name}") as board:
            switch: Callable[[], None] = getattr(board.power, name.replace("-", "_"))
            switch()
            return {"board": board.serial, "power": name}

    return click.command(name, help=text)(act)


for _name, _text in _VERBS.items():
    power.add_command(_verb(_name, _text))


@power.command()
@click.option(
    "--pause",
    "pause_s",
    type=QUANTITY,
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the DUT stays off.",
)
@one_board
def cycle(asked: Asked, pause_s: float) -> dict[str, Any]:
    """Off, wait, on; with the board's sequences."""
    from hil.cli.using_board import using  # noqa: PLC0415 - as above

    with using(asked, "hil power cycle") as board:
        board.power.cycle(pause_s)
        return {"board": board.serial, "power": "cycle"}


@power.command()
@one_board
def read(asked: Asked) -> dict[str, Any]:
    """Print volts, amperes and watts, averaged over the last two seconds."""
    from hil.cli.using_board import using  # noqa: PLC0415 - as above

    with using(asked, "hil power read") as board:
        reading = board.power.read()
        return {
            "board": board.serial,
            "volts": reading.volts,
            "amps": reading.amps,
            "watts": reading.watts,
        }
