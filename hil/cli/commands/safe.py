"""`hil safe`: what a guard does for a run that died, by hand or when the machine starts."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from hil.cli.board_options import boards_option, wait_option
from hil.cli.common_options import complete_board
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
    help="The same as SERIAL. Where neither is given, the environment variable HIL_BOARD counts.",
)
@click.option(
    "--all", "every", is_flag=True, help="Every board on the bus, and what the records say of others."
)
@click.option(
    "--if-unsafe",
    is_flag=True,
    help="Only if it is not on record as left safe; for the unit that udev starts.",
)
@wait_option("How long to wait, altogether, for boards that somebody holds.")
@boards_option
def safe(  # noqa: PLR0913, PLR0917 - click gives each option by its name
    serial: str | None, named: str | None, every: bool, if_unsafe: bool, wait_s: float, boards: str
) -> Answer:
    """Make a board safe: DUT switched off, stick detached, pins floating; then measure, and record it.

    SERIAL (or the name of a place) may be left out where there is one board. A board that somebody holds is
    waited for: a run that goes on keeps it.

    Exit status: 0 safe; 1 a board that should be safe is not; 2 misuse. With --all, a board that is on record
    but not on the bus is listed as absent and does no harm: its next holder makes it safe.
    """
    if serial is not None and named not in {None, serial}:
        raise UsageError(
            f"{serial} and --board {named} are asked for at once", remedy="leave one of them out"
        )
    serial = serial or named
    if every and serial is not None:
        raise UsageError(
            f"{serial} and --all are asked for at once",
            why="--all includes it",
            remedy="leave one of them out",
        )
    if if_unsafe and serial is None:
        raise UsageError(
            "--if-unsafe needs the board's serial number",
            why="its record is looked at first",
            remedy="hil safe --if-unsafe SERIAL",
        )
    from hil.cli.commands.make_safe import SafeCommand  # noqa: PLC0415 - the driver is for commands that use boards

    making_safe = SafeCommand(boards, wait_s, tell=lambda line: click.echo(line, err=True))
    if if_unsafe and serial is not None:
        return _told(Answer(making_safe.one_if_unsafe(serial)))
    return _told(
        making_safe.all() if every else Answer(making_safe.one(serial or os.environ.get("HIL_BOARD")))
    )


def _told(answer: Answer) -> Answer:
    """Return the answer with a sentence for each board."""
    rows = answer.value if isinstance(answer.value, list) else [answer.value]
    return replace(answer, text="\n".join(map(_sentence, rows)))


def _sentence(row: dict[str, Any]) -> str:
    measured = "" if row["amps"] is None else f"; its DUT draws {abs(row['amps']):.2f} A"
    why = f": {row['why'].rstrip(' .:;')}" if row["why"] else ""
    return f"Board {row['board']} is {row['outcome']}{measured}{why}."
