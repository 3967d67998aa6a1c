"""`hil storage`: who sees the stick, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.command_groups import CommandGroup
from hil.cli.result import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.board import Board

__all__ = ["storage"]

_force: Callable[[Any], Any] = click.option(
    "--force", is_flag=True, help="Take the stick away although it is mounted or open on this host."
)


@click.group(cls=CommandGroup)
def storage() -> None:
    """Give the stick to the host, to the DUT, or to nobody.

    A stick that is mounted or open on this host is not taken away without --force.

    \b
    hil storage host
    hil storage dut --board 0df10035
    hil storage learn
    """  # noqa: D301 - click's own escape


@storage.command()
@_force
@board_command
def host(selection: BoardSelection, force: bool) -> Answer:
    """Give the stick to this host, wait for it, and print its device node.

    A disk is called the stick when it goes and comes with the board's mux, or comes in the USB socket where
    that was seen before.
    """
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is for commands that use boards

    with use_board(selection, "hil storage host") as board:
        told = _told_of_dut(board)
        board.storage.host(force=force)
        node = str(board.storage.wait_for_node())
        return Answer(
            {"board": board.serial, "storage": "host", "node": node},
            text=f"The stick of {board.label} is at this host: {node}{told}",
        )


@storage.command()
@click.option(
    "--force",
    is_flag=True,
    help="Give it although it is mounted or open on this host, or a flash of it was not proven to the end.",
)
@board_command
def dut(selection: BoardSelection, force: bool) -> Answer:
    """Give the stick to the DUT."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - as above

    with use_board(selection, "hil storage dut") as board:
        board.storage.dut(force=force)
        return Answer(
            {"board": board.serial, "storage": "dut"}, text=f"The stick of {board.label} is at the DUT."
        )


@storage.command()
@_force
@board_command
def off(selection: BoardSelection, force: bool) -> Answer:
    """Give the stick to nobody."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - as above

    with use_board(selection, "hil storage off") as board:
        told = _told_of_dut(board)
        board.storage.off(force=force)
        return Answer(
            {"board": board.serial, "storage": "off"}, text=f"The stick of {board.label} is detached.{told}"
        )


@storage.command()
@_force
@board_command
def learn(selection: BoardSelection, force: bool) -> Answer:
    """Learn at which USB socket the stick comes: before its first use, or after the cables were changed.

    Forgets what was known, and watches which disk goes and comes with the mux. Afterwards it is off. While
    the stick is not known, each removable USB disk of this host may be it: when one of them is in use and is
    not the stick, --force goes on. No other disk is taken away or opened.
    """
    from hil.cli.board_context import use_board  # noqa: PLC0415 - as above

    with use_board(selection, "hil storage learn") as board:
        disk = board.storage.learn(force=force)
        board.storage.off()
        return Answer(
            {"board": board.serial, "storage": "off", "socket": disk.socket, "stick": str(disk)},
            text=f"The stick of {board.label} comes at USB socket {disk.socket}: {disk}. It is off now.",
        )


def _told_of_dut(board: Board) -> str:
    """Return a line for a DUT that runs and loses its stick; empty: it does not."""
    from hil.cli.running_dut import dut_runs_with_stick, stick_lost_sentence  # noqa: PLC0415 - as above

    return f"\n{stick_lost_sentence()}" if dut_runs_with_stick(board) else ""
