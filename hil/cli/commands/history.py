"""`hil history`: show what broke, since when, and the likely cause."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hil.cli.history_options import history_file, kind_of_runs, newest_nights, open_history, select_window
from hil.cli.param_types import QUANTITY
from hil.cli.result import Answer
from hil.errors import HistoryError, UsageError
from hil.nearest import nearest
from hil.text_table import counted

__all__ = ["history"]

DAY_S = 86_400.0

_LIKE_A_COMMAND = 0.8
"""How like a command a word has to be that may also be a part of a test's name; see `nearest`."""


@dataclass(frozen=True, slots=True)
class _HistorySelection:
    """Options before the command: history file, number of nights, kind of runs, board."""

    path: Path
    nights: int
    kind: str
    board: str


class _TestsToo(click.Group):
    """A group whose first word may be a command or a test."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a word that is no command as a test."""
        if args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(context, args)
        return "test", self.commands["test"], args


@click.group(cls=_TestsToo, invoke_without_command=True, subcommand_metavar="[TEST | COMMAND [ARGUMENTS]...]")
@history_file("--history")
@newest_nights(100)
@kind_of_runs
@click.option("--board", default="", metavar="SERIAL_OR_PLACE", help="Show only this board.")
@click.pass_context
def history(context: click.Context, path: Path, nights: int, kind: str, board: str) -> Any:  # noqa: ANN401 - data of any kind
    r"""Show which tests are new, failing, fixed, flaky, slower or always skipped, and the likely cause.

    Numbers that drifted are among the findings.

    With TEST, a node id or a part of it: show all about that test. Without parameters: all of their sets.

    \b
    hil history
    hil history test_boots
    hil history --board 0df10035
    hil history --nights 14 --kind nightly
    hil history numbers boot
    hil history merge other-host.db
    hil history forget --days 365
    """
    context.obj = _HistorySelection(path, nights, kind, board)
    if context.invoked_subcommand is not None:
        return None
    from hil.history.analysis import analyze  # noqa: PLC0415 - the database is imported on use
    from hil.history.detail import of_board  # noqa: PLC0415 - the database is imported on use

    as_json = context.find_root().params.get("as_json", False)
    with open_history(path) as kept:
        window = select_window(kept, nights, kind)
        if board:
            data, lines = of_board(window, board)
            return data if as_json else lines
        morning = analyze(window)
    return morning.data() if as_json else morning.lines()


@history.command(hidden=True)
@click.argument("test")
@click.pass_context
def test(context: click.Context, test: str) -> Any:  # noqa: ANN401 - data of any kind
    r"""Show all about a test.

    \b
    hil history test tests/test_boot.py::test_boots
    hil history test_boots
    """
    from hil.history.detail import of_test  # noqa: PLC0415 - the database is imported on use

    selection: _HistorySelection = context.obj
    try:
        with open_history(selection.path) as kept:
            data, lines = of_test(
                select_window(kept, selection.nights, selection.kind), test, selection.board
            )
    except HistoryError as error:
        if command := nearest(test, history.commands.keys() - {"test"}, _LIKE_A_COMMAND):
            raise UsageError(
                f"hil history has no command {test}, and no test of that name was found",
                why=error.what,
                remedy=f"hil history {command}",
            ) from error
        raise
    return data if context.find_root().params.get("as_json", False) else lines


@history.command()
@click.argument("name", required=False)
@click.pass_context
def numbers(context: click.Context, name: str | None) -> Any:  # noqa: ANN401 - data of any kind
    r"""Show the numbers that tests measured, those that drifted first.

    With NAME, the name of a number or a part of it or of its test: show its values by night and board.

    \b
    hil history numbers
    hil history numbers boot
    hil history --board left numbers boot
    """
    from hil.history.detail import one_board  # noqa: PLC0415 - the database is imported on use
    from hil.history.numbers.listing import SCALED, list_numbers, numbers_like  # noqa: PLC0415 - the database is imported on use

    selection: _HistorySelection = context.obj
    as_json = context.find_root().params.get("as_json", False)
    with open_history(selection.path) as kept:
        window = select_window(kept, selection.nights, selection.kind)
        if selection.board:
            one_board(window, selection.board)  # names those there are if there is no such board
        if name is None:
            listed = list_numbers(window, selection.board)
            found: Any = listed.data()
            lines = listed.lines()
        else:
            found, lines = numbers_like(window, name, selection.board)
        remarks = [SCALED] if window.simulated_last() and lines else []
    return found if as_json else [*lines, *remarks]


@history.command()
@click.argument("other", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def merge(selection: _HistorySelection, other: Path) -> Answer:
    """Add the runs of OTHER, the history of another host, unless they are in the history already."""
    from hil.history.store import History, merge_history  # noqa: PLC0415 - the database is imported on use

    is_new = not selection.path.exists()
    try:
        with History(selection.path) as kept:
            merged = merge_history(kept, other)
            text = (
                f"Added {counted(merged, 'run')} of {other}."
                if merged
                else f"All runs of {other} were in the history already."
            )
            return Answer({"merged_runs": merged}, text=text)
    except HistoryError:
        if is_new:  # an empty history would look like nights without runs
            selection.path.unlink(missing_ok=True)
        raise


@history.command()
@click.option("--days", type=QUANTITY, required=True, help="Remove runs older than this.")
@click.pass_obj
def forget(selection: _HistorySelection, days: float) -> Answer:
    """Remove old runs."""
    with open_history(selection.path, to_read=False) as kept:
        removed = kept.delete_before(time.time() - days * DAY_S)
        return Answer(
            {"removed_runs": removed}, text=f"Removed {counted(removed, 'run')} older than {days:g} days."
        )
