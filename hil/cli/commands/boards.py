"""`hil boards`: list boards and who uses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hil.cli.board_options import boards_option
from hil.dutlink.console.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["boards"]

_COLUMNS = ("board", "name", "state", "power", "position", "firmware", "health", "tags")
_HEADS = ("BOARD", "NAME", "STATE", "POWER", "STICK", "FIRMWARE", "HEALTH", "TAGS")


@click.command("boards")
@boards_option
@click.option("--watch", is_flag=True, help="List repeatedly until Ctrl-C; print when something has changed.")
@click.option("--times", type=click.IntRange(min=1), metavar="N", help="With --watch: end after N listings.")
@click.pass_context
def boards(ctx: click.Context, boards: str, watch: bool, times: int | None) -> Any:  # noqa: ANN401 - rows
    r"""List the boards of this host, and the places of the lab file whose board is absent.

    A board in use is queried only for its version, so that its run is not disturbed. Boards do not report
    the position of the stick: it is what the host sees, or the last position that hil set.

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
        click.echo(json.dumps(rows) if as_json else "\n".join(_table(rows)))


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "no boards; hil doctor says why"
        return
    shown = [list(_HEADS), *([_cell(row, column) for column in _COLUMNS] for row in rows)]
    widths = [max(len(line[index]) for line in shown) for index in range(len(shown[0]))]
    yield _line(shown[0], widths)
    for row, line in zip(rows, shown[1:], strict=True):
        yield _line(line, widths)
        if row["holder"]:
            yield f"  held by {row['holder']} since {row['since'] or 'an unknown time'}"
        if row["why"]:
            yield f"  {sanitize_line(row['why'])}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "power" and value is not None:
        return f"{value}, {abs(row['watts']):.2f} W"
    if isinstance(value, list):
        return sanitize_line(",".join(value)) or "-"
    return sanitize_line(str(value or "-"))
