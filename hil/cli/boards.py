"""`hil boards`: which boards are there, and who uses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hil.cli.one_board import boards_option

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["boards"]


@click.command("boards")
@boards_option
@click.option("--watch", is_flag=True, help="Look again, and print what has changed, until Ctrl-C.")
@click.option("--times", type=click.IntRange(min=1), metavar="N", help="With --watch: end after N looks.")
@click.option("--json", "as_json", is_flag=True, help="As `hil --json boards`.")
@click.pass_context
def boards(ctx: click.Context, boards: str, watch: bool, times: int | None, as_json: bool) -> Any:  # noqa: ANN401 - rows
    """List the boards of this host: serial number, name, tags, firmware, power, and who holds each.

    A board that somebody holds is not asked for anything but its version: its run goes on undisturbed.
    """
    from hil.cli.board_list import BoardList  # noqa: PLC0415 - the driver is for commands that use boards

    found = BoardList(boards)
    root = ctx.find_root()
    root.params["as_json"] = as_json = as_json or root.params["as_json"]
    if not watch:
        return found.rows()
    for rows in found.changes(times):
        _show(rows, as_json=as_json)
    return None


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    click.echo(json.dumps(rows) if as_json else "\n".join(_lines(rows)))


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield "  ".join(f"{key}={value}" for key, value in row.items())
    if not rows:
        yield "no boards"
