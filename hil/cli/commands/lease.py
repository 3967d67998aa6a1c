"""`hil lease`: run a command with a leased board."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from shutil import which
from typing import TYPE_CHECKING

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.result import Answer
from hil.errors import HilError, UsageError, tell_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["lease"]

_NOT_FOUND = 127
"""The exit status for a command that does not exist, as in shells."""


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option(
    "--storage",
    type=click.Choice(["off", "host", "dut"]),
    default="off",
    show_default=True,
    help="Position of the stick when COMMAND begins.",
)
@click.option("--force", is_flag=True, help="Move the stick even if it is in use on this host.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@board_command
def lease(selection: BoardSelection, storage: str, force: bool, command: tuple[str, ...]) -> Answer:
    r"""Run COMMAND with a leased board. The board is safe before COMMAND and after it, however it ends.

    \b
    hil lease -- sh -c 'picocom --baud 115200 "$HIL_TTY"'
    hil lease --board jetson-1 -- ./provision.sh --all
    hil lease --storage host -- sh -c 'dd if=image of="$HIL_STICK" bs=4M conv=fsync'
    hil lease -- bash

    Environment of COMMAND:

    \b
    HIL_BOARD   serial number; hil commands use this board
    HIL_BOARDS  value of --boards
    HIL_PLACE   name in the lab file, or stored on the board
    HIL_TTY     the console's tty
    HIL_STICK   the stick's node on the host, if known
    HIL_LEASE   by which hil commands use this lease

    A stick that is mounted or open on this host is not moved without --force: then COMMAND does not begin,
    or, after COMMAND, the stick stays on the host, with the DUT off and exit status 1.

    Signals are passed on to COMMAND. Processes that COMMAND started end with it. If this process is killed,
    they are ended, and a guard makes the board safe. A test run takes its own lease: do not run pytest as
    COMMAND.

    Exit status: that of COMMAND; 128 plus the number of a signal that ended it; 127 if it is not found, 126
    if it cannot be run; 1 if the board cannot be used or made safe afterwards; 2 misuse.
    """
    if not command:
        raise UsageError(
            "no command to run", why="no words follow the options", remedy="hil lease -- COMMAND"
        )
    if "/" not in command[0] and which(command[0]) is None:
        tell_user(f"{command[0]} cannot be run: it is not on PATH; no board was leased")
        return Answer(None, _NOT_FOUND)
    from hil.cli.board_context import use_board_safely  # noqa: PLC0415 - the driver is imported on use
    from hil.lab.processes.supervise import command_end_pipe, run_supervised  # noqa: PLC0415 - the driver is imported on use
    from hil.lab.safe_state.record import record_name  # noqa: PLC0415 - the driver is imported on use

    status = 0
    try:
        with (
            command_end_pipe() as (drivers, mark),
            use_board_safely(selection, f"hil lease: {' '.join(command)}", force=force, drivers=drivers) as (
                board,
                held,
            ),
        ):
            stick = _place_stick(board, storage)
            environ = _environment(selection, board, held, stick)
            record_name(held.folder, board)
            with _ended_without_guard(held):
                status = run_supervised(command, environ, mark, held.descriptors)
    except HilError as error:
        if not status:
            raise
        tell_user(str(error))  # the exit status of COMMAND counts
    return Answer(None, status)


@contextmanager
def _ended_without_guard(held: GuardedLease) -> Iterator[None]:
    """End COMMAND, in a `with` block, if no guard can run any more: this process then makes the board safe.

    The signal would end this process itself before and after that.

    Raises:
        GuardError: No guard runs now.
    """
    refuse, held.on_guard_lost = held.on_guard_lost, lambda _error: os.kill(os.getpid(), signal.SIGTERM)
    try:
        if held.guard_error is not None:
            raise held.guard_error
        yield
    finally:
        held.on_guard_lost = refuse


def _place_stick(board: Board, storage: str) -> Path | None:
    """Move the stick; return its node, which is verified if the host has it."""
    if storage == "dut":
        board.storage.dut()
    elif storage == "host":
        board.storage.host()
        return board.storage.wait_for_node()
    return board.storage.node


def _environment(
    selection: BoardSelection, board: Board, held: GuardedLease, stick: Path | None
) -> dict[str, str]:
    from hil.cli.board_context import current_lab  # noqa: PLC0415 - the driver is imported on use
    from hil.dutlink.borrowed_lease import LEASED  # noqa: PLC0415 - the driver is imported on use

    sys.stdout.flush()
    name = current_lab().name_of(board.serial) or board.settings.read().name
    return {
        **os.environ,
        "HIL_BOARD": held.serial,
        "HIL_BOARDS": selection.boards,
        "HIL_PLACE": name,
        "HIL_TTY": str(board.console.tty.path),
        "HIL_STICK": str(stick or ""),
        LEASED: held.lend(ends_borrowers=True),
    }
