"""`hil history`: what broke, since when, and whose fault it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from hil.errors import HistoryError

__all__ = ["DEFAULT", "history", "opened"]

DAY_S = 86_400.0
DEFAULT = "nightly/history.db"


@click.group(invoke_without_command=True)
@click.option(
    "--file",
    "path",
    envvar="HIL_HISTORY",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT,
    show_default=True,
    help="The history; or the environment variable HIL_HISTORY.",
)
@click.option(
    "--nights", type=click.IntRange(min=1), default=60, show_default=True, help="Newest runs to look at."
)
@click.option("--kind", default="", metavar="KIND", help="Runs of this kind alone, such as nightly.")
@click.pass_context
def history(context: click.Context, path: Path, nights: int, kind: str) -> Any:  # noqa: ANN401 - as every verb
    r"""Say what is new, failing, fixed, flaky, slower or always skipped, and what is at fault.

    \b
    hil history
    hil history --nights 14 --kind nightly
    hil history merge other-host.db
    hil history forget --days 365
    """
    context.obj = path
    if context.invoked_subcommand is not None:
        return None
    from hil.history.questions import ask  # noqa: PLC0415 - the database is for those who ask
    from hil.history.window import Window  # noqa: PLC0415 - as above

    with opened(path) as kept:
        morning = ask(Window(kept, nights, kind))
    as_json = context.find_root().params.get("as_json", False)
    return morning.data() if as_json else morning.lines()


@history.command()
@click.argument("other", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def merge(path: Path, other: Path) -> dict[str, int]:
    """Take in the runs of OTHER, another host's history; runs that are here already are not doubled."""
    from hil.history.store import History  # noqa: PLC0415 - as above

    with History(path) as kept:
        return {"merged_runs": kept.merge(other)}


@history.command()
@click.option("--days", type=click.FloatRange(min=0), required=True, help="Remove runs that are older.")
@click.pass_obj
def forget(path: Path, days: float) -> dict[str, int]:
    """Remove old runs."""
    with opened(path) as kept:
        return {"removed_runs": kept.forget_before(time.time() - days * DAY_S)}


def opened(path: Path) -> Any:  # noqa: ANN401 - a History, whose import is put off
    """Return an open history that is there.

    Raises:
        HistoryError: There is none, or it cannot be read.
    """
    from hil.history.store import History  # noqa: PLC0415 - as above

    if not path.is_file():
        raise HistoryError(
            f"there is no history in {path}",
            why="no run was recorded there yet",
            remedy=f"run nox -s nightly, or pytest --hil-history {path}",
        )
    return History(path)
