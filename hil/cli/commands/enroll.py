"""`hil enroll`: boards become places of the lab file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.param_types import QUANTITY
from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.cli.result import Answer

__all__ = ["enroll"]


@click.command()
@click.option("--name", metavar="NAME", help="Of the place; with one board.  [default: the one stored on it]")
@click.option("--tags", metavar="WORDS", help="Of the place, with commas between; with one board.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The lab file.  [default: the one that counts here, else lab.toml of the project]",
)
@click.option("--yes", is_flag=True, help="Ask nothing; the answer to every question is yes.")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be written; write nothing, on no board either."
)
@click.option(
    "--listen",
    "listen_s",
    type=QUANTITY,
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to listen which console speaks; 0 leaves DUTs off.",
)
@board_command
def enroll(  # noqa: PLR0913 - its options
    *,
    selection: BoardSelection,
    name: str | None,
    tags: str | None,
    file: Path | None,
    yes: bool,
    dry_run: bool,
    listen_s: float,
) -> Answer:
    r"""Make places of boards: find each one's stick and console, and write them into the lab file.

    Of each board (or of --board alone) the mux is turned, and the disk that follows is the stick; the DUT is
    switched on, and the console that speaks is its console. A name and tags can be stored on the board, which
    keeps them wherever it is plugged in. The rest of the lab file stays as it is, and the change is shown
    before it is written. Afterwards the board is safe: DUT off, stick detached, pins floating.

    \b
    hil enroll
    hil enroll --board 0df10035 --name jetson-1 --tags jetson,nvme --yes
    hil enroll --dry-run

    Exit status: 0 done, 1 not all of it, 2 misuse.
    """
    if selection.serial is None and (name or tags):
        raise UsageError(
            "--name and --tags belong to one board",
            why="none was named",
            remedy="hil enroll --board SERIAL ...",
        )
    if not yes and not dry_run and not sys.stdin.isatty():
        raise UsageError(
            "hil enroll asks questions, and nobody is there to answer",
            why="standard input is no terminal",
            remedy="hil enroll --yes, or --dry-run",
        )
    from hil.cli.commands.enroll_dialog import EnrollCommand, EnrollOptions  # noqa: PLC0415 - the driver is for commands that use boards

    options = EnrollOptions(name, tags, file, listen_s, yes=yes, dry_run=dry_run)
    return EnrollCommand(selection, options).run()
