"""`hil power`: switch the DUT's supply and read its meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.command_groups import CommandGroup
from hil.cli.param_types import QUANTITY
from hil.cli.result import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.board import Board

__all__ = ["power"]

_VERBS = {
    "on": "Run the board's power_on sequence, or switch the supply on if there is none.",
    "off": "Run the board's power_off sequence, or switch the supply off if there is none.",
    "force-on": "Switch the supply on at once, without the sequence.",
    "force-off": "Switch the supply off at once, without the sequence.",
    "rescue": "Run the board's power_rescue sequence.",
}


_DONE = {
    "on": "Switched on the DUT of",
    "off": "Switched off the DUT of",
    "force-on": "Switched on, without its sequence, the DUT of",
    "force-off": "Switched off, without its sequence, the DUT of",
    "rescue": "Ran the power_rescue sequence of",
}


@click.group(cls=CommandGroup)
def power() -> None:
    """Switch the DUT's supply, or read its meter. The DUT stays as the command left it.

    \b
    hil power on
    hil power cycle --pause 5 --board 0df10035
    hil --json power read
    """  # noqa: D301 - click's own escape


def _verb(name: str, text: str) -> click.Command:
    @board_command
    def act(selection: BoardSelection) -> Answer:
        from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

        with use_board(selection, f"hil power {name}") as board:
            text = _sentence(board, name)
            switch: Callable[[], None] = getattr(board.power, name.replace("-", "_"))
            switch()
            return Answer({"board": board.serial, "power": name}, text=text)

    return click.command(name, help=text)(act)


def _sentence(board: Board, name: str) -> str:
    """Return the text for users after the switch; call it before, because it reads the meter."""
    done = f"{_DONE[name]} {board.label}."
    if name in {"on", "force-on"} and board.power.draws():
        return f"The DUT of {board.label} was on already; hil power cycle boots it again."
    if name == "rescue" and not board.settings.read().power_rescue:
        return (
            f"{_DONE['on']} {board.label}, as hil power on does: it stores no power_rescue sequence; "
            "hil settings set power_rescue SEQUENCE stores one."
        )
    return done


for _name, _text in _VERBS.items():
    power.add_command(_verb(_name, _text))


@power.command()
@click.option(
    "--pause",
    "pause_s",
    type=QUANTITY,
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="How long the DUT stays off.",
)
@board_command
def cycle(selection: BoardSelection, pause_s: float) -> Answer:
    """Switch the DUT off, wait, and switch it on again, with the board's sequences."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil power cycle") as board:
        board.power.cycle(pause_s)
        return Answer(
            {"board": board.serial, "power": "cycle"},
            text=f"Switched the DUT of {board.label} off and, after {pause_s:g} s, on again.",
        )


@power.command()
@board_command
def read(selection: BoardSelection) -> Answer:
    """Print volts, amperes and watts, averaged over the last two seconds.

    If a command used the board within that time, the reading may not have settled, and the answer says so.
    """
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil power read", changes=False) as board:
        reading = board.power.read()
        settles_in_s = board.power.settles_in_s
        data = {"volts": reading.volts, "amps": reading.amps, "watts": reading.watts}
        data["settled"] = not settles_in_s
        text = f"{board.label}: {reading.volts:.2f} V, {abs(reading.amps):.2f} A, {abs(reading.watts):.2f} W"
        if settles_in_s:
            text += f"\nNot settled: a reading is the mean of 2 s; read again in {settles_in_s:.1f} s."
        return Answer({"board": board.serial, **data}, text=text)
