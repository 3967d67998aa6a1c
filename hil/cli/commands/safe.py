"""`hil safe`: make boards safe, as a guard does after a run that died."""

from __future__ import annotations

import os
from typing import Any

import click

from hil.cli.board_options import boards_option, complete_board, wait_option
from hil.cli.result import Answer
from hil.errors import UsageError

__all__ = ["safe"]


@click.command()
@click.argument("serial", required=False)
@click.option(
    "--board",
    "named",
    metavar="SERIAL",
    shell_complete=complete_board,
    help="The same as SERIAL. Environment variable if neither is given: HIL_BOARD.",
)
@click.option(
    "--all", "every", is_flag=True, help="Make all boards safe, and list the records of absent ones."
)
@click.option(
    "--if-unsafe",
    is_flag=True,
    help="Skip a board whose record says that it is safe; for the unit that udev starts.",
)
@wait_option("How long to wait in total for boards in use, and then for each that is silent.")
@boards_option
def safe(  # noqa: PLR0913, PLR0917 - click gives each option by its name
    serial: str | None, named: str | None, every: bool, if_unsafe: bool, wait_s: float, boards: str
) -> Answer:
    """Make a board safe: DUT off, stick detached, pins floating. Then measure and record the result.

    SERIAL (or the name of a place) may be omitted if there is one board. The command waits for a board in
    use; a running test run keeps it.

    Exit status: 0 safe; 1 a board is not safe; 2 misuse. With --all, an absent board with a record is listed
    and does not count: its next holder makes it safe.
    """
    if serial is not None and named not in {None, serial}:
        raise UsageError(f"{serial} and --board {named} exclude each other", remedy="leave one of them out")
    serial = serial or named
    if every and serial is not None:
        raise UsageError(
            f"{serial} and --all exclude each other",
            why="--all includes it",
            remedy="leave one of them out",
        )
    if if_unsafe and serial is None:
        raise UsageError(
            "--if-unsafe needs the board's serial number",
            why="it reads the record of that board first",
            remedy="hil safe --if-unsafe SERIAL",
        )
    from hil.cli.commands.make_safe import SafeCommand  # noqa: PLC0415 - the driver is imported on use

    command = SafeCommand(boards, wait_s)
    if if_unsafe and serial is not None:
        return _with_sentences(Answer(command.make_one_safe_if_unsafe(serial)))
    return _with_sentences(
        command.make_all_safe()
        if every
        else Answer(command.make_one_safe(serial or os.environ.get("HIL_BOARD")))
    )


def _with_sentences(answer: Answer) -> Answer:
    """Add a sentence for each board to an answer."""
    rows = answer.value if isinstance(answer.value, list) else [answer.value]
    return answer._replace(text="\n".join(map(_sentence, rows)))


def _sentence(row: dict[str, Any]) -> str:
    measured = "" if row["amps"] is None else f"; its DUT draws {abs(row['amps']):.2f} A"
    why = f": {row['why'].rstrip(' .:;')}" if row["why"] else ""
    return f"Board {row['board']} is {row['outcome']}{measured}{why}."
