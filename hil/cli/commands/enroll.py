"""`hil enroll`: add boards as places to the lab file."""

from __future__ import annotations

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
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the place; with one board.  [default: the name stored on the board]",
)
@click.option("--tags", metavar="WORDS", help="Tags of the place, separated by commas; with one board.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The lab file.  [default: the current one, else lab.toml of the project]",
)
@click.option("--yes", is_flag=True, help="Ask no questions; the answer to each is yes.")
@click.option(
    "--dry-run", is_flag=True, help="Show the changes; write nothing, neither the file nor a board."
)
@click.option(
    "--listen",
    "listen_s",
    type=QUANTITY,
    default=15,
    show_default=True,
    metavar="SECONDS",
    help="How long to listen for consoles; 0 leaves DUTs off.",
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
    r"""Find the stick and the console of each board, and add the board as a place to the lab file.

    For each board (or only for --board) hil moves the mux; the disk that follows is the stick. Then it
    switches the DUT on; the console with output is its console. A name and tags can be stored on the board,
    which keeps them wherever it is plugged in. The rest of the lab file stays unchanged, and the change is
    shown before it is written. Afterwards the board is safe: DUT off, stick detached, pins floating.

    \b
    hil enroll
    hil enroll --board 0df10035 --name jetson-1 --tags jetson,nvme --yes
    hil enroll --dry-run

    Exit status: 0 all boards enrolled, 1 not all of them, 2 misuse.
    """
    if selection.serial is None and (name or tags):
        raise UsageError(
            "--name and --tags need a board",
            why="no board was named",
            remedy="hil enroll --board SERIAL ...",
        )
    from hil.cli.commands.enroll_dialog import EnrollCommand, EnrollOptions  # noqa: PLC0415 - the driver is imported on use

    options = EnrollOptions(name, tags, file, listen_s, yes=yes, dry_run=dry_run)
    return EnrollCommand(selection, options).run()
