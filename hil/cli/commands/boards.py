"""`hil boards`: list boards and who uses them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from hil.cli.board_options import boards_option
from hil.cli.result import room_of
from hil.dutlink.console.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["boards"]

_HEADS = {
    "board": "BOARD",
    "name": "NAME",
    "state": "STATE",
    "power": "POWER",
    "position": "STICK",
    "firmware": "FIRMWARE",
    "health": "HEALTH",
    "tags": "TAGS",
}
"""The heading of each column of the table."""

_SPARED = ("firmware", "tags", "position")
"""Columns that a narrow terminal does without, in this order."""


@click.command("boards")
@boards_option
@click.option("--watch", is_flag=True, help="List repeatedly until Ctrl-C; print when something has changed.")
@click.option("--times", type=click.IntRange(min=1), metavar="N", help="With --watch: end after N listings.")
@click.pass_context
def boards(ctx: click.Context, boards: str, watch: bool, times: int | None) -> Any:  # noqa: ANN401 - rows
    r"""List the boards of this host, and the places of the lab file whose board is absent.

    A board in use is queried only for its version, so that its run is not disturbed. Boards do not report
    the position of the stick: it is what the host sees, or the last position that hil set. A narrow terminal
    gets fewer columns.

    \b
    hil boards
    hil boards --watch
    hil boards --json

    Exit status: 0 listed, also if there are none (hil doctor then ends with 1); 1 if boards cannot be
    listed; 2 misuse.
    """
    from hil.cli.commands.board_list import BoardList  # noqa: PLC0415 - the driver is imported on use

    found = BoardList(boards)
    as_json = ctx.find_root().params["as_json"]
    for rows in found.changes(times if watch else 1):
        click.echo(json.dumps(rows) if as_json else "\n".join(_table(rows, room_of(sys.stdout))))


def _table(rows: list[dict[str, Any]], room: float) -> Iterator[str]:
    if not rows:
        yield "no boards; hil doctor says why, and hil sim simulates some"
        return
    columns = {name: [head, *(_cell(row, name) for row in rows)] for name, head in _HEADS.items()}
    spared = iter(_SPARED)
    while max(map(len, lines := _lines(columns.values()))) > room and (name := next(spared, "")):
        del columns[name]
    yield lines[0]
    for row, line in zip(rows, lines[1:], strict=True):
        yield line
        if row["holder"]:
            yield f"  held by {row['holder']} since {row['since'] or 'an unknown time'}"
        if row["why"]:
            yield f"  {sanitize_line(row['why'])}"


def _lines(columns: Iterable[Sequence[str]]) -> list[str]:
    padded = [[cell.ljust(max(map(len, column))) for cell in column] for column in columns]
    return ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "power" and value is not None:
        return f"{value}, {abs(row['watts']):.2f} W"
    if isinstance(value, list):
        return sanitize_line(",".join(value)) or "-"
    return sanitize_line(str(value or "-"))
