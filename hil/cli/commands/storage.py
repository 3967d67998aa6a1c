"""`hil storage`: connect the stick to host or DUT, or disconnect it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.command_groups import CommandGroup
from hil.cli.result import Answer
from hil.cli.taken_stick import dut_runs_with_stick, stick_lost_sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.board import Board

__all__ = ["storage"]

_force: Callable[[Any], Any] = click.option(
    "--force", is_flag=True, help="Move the stick even if it is mounted or open on this host."
)


@click.group(cls=CommandGroup)
def storage() -> None:
    """Connect the stick to the host or to the DUT, or disconnect it.

    A stick that is mounted or open on this host is not moved without --force.

    \b
    hil storage host
    hil storage dut --board 0df10035
    hil storage learn
    """  # noqa: D301 - click's own escape


@storage.command()
@_force
@board_command
def host(selection: BoardSelection, force: bool) -> Answer:
    """Connect the stick to this host, wait for it, and print its device node.

    The stick is the disk that appears and vanishes with the board's mux, or that appears at the USB port
    where it did so before.
    """
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

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
    help="Move the stick even if it is mounted or open on this host, or if a flash was not verified.",
)
@board_command
def dut(selection: BoardSelection, force: bool) -> Answer:
    """Connect the stick to the DUT."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil storage dut") as board:
        board.storage.dut(force=force)
        return Answer(
            {"board": board.serial, "storage": "dut"}, text=f"The stick of {board.label} is at the DUT."
        )


@storage.command()
@_force
@board_command
def off(selection: BoardSelection, force: bool) -> Answer:
    """Disconnect the stick from host and DUT."""
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

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
    """Learn the USB port of the stick, before its first use or after cables were moved.

    Forgets the known port, and watches which disk appears and vanishes with the mux. Afterwards the position
    is off. While the stick is unknown, each removable USB disk of this host may be it. If one of them is in
    use and is not the stick, use --force. No other disk is removed or opened.
    """
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    with use_board(selection, "hil storage learn") as board:
        disk = board.storage.learn(force=force)
        board.storage.off()
        return Answer(
            {"board": board.serial, "storage": "off", "socket": disk.socket, "stick": str(disk)},
            text=f"The stick of {board.label} comes at USB socket {disk.socket}: {disk}. It is off now.",
        )


def _told_of_dut(board: Board) -> str:
    """Return a line for a running DUT that loses its stick, or an empty text."""
    return f"\n{stick_lost_sentence()}" if dut_runs_with_stick(board) else ""
