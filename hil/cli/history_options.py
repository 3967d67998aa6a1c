"""Options that select a history and its runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hil.errors import HistoryError, tell_user
from hil.regular_file import check_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.history.store import History
    from hil.history.window import Window

__all__ = ["history_file", "kind_of_runs", "newest_nights", "open_history", "select_window"]

_Verb = TypeVar("_Verb", bound="Callable[..., Any]")

kind_of_runs = click.option(
    "--kind", default="", metavar="KIND", help="Only runs of this kind, such as nightly."
)


def history_file(name: str) -> Callable[[_Verb], _Verb]:
    """Return the option that names the history; its value is `path`."""
    return click.option(
        name,
        "path",
        envvar="HIL_HISTORY",
        type=click.Path(dir_okay=False, path_type=Path),
        default="nightly/history.db",
        show_default=True,
        help="The history. Environment variable: HIL_HISTORY.",
    )


def newest_nights(default: int) -> Callable[[_Verb], _Verb]:
    """Return the option for the number of nights."""
    return click.option(
        "--nights",
        type=click.IntRange(1, 1_000_000),
        metavar="N",
        default=default,
        show_default=True,
        help="All runs of the newest N nights; a night lasts from noon to noon, in this host's time.",
    )


def open_history(path: Path, *, to_read: bool = True) -> History:
    """Open an existing history.

    Args:
        path: Its file.
        to_read: Open it only for reading; see `History`.

    Raises:
        HistoryError: The file does not exist or cannot be read.
        UntrustedFileError: This process is root's, and other users decide which files SQLite would write
            beside it.
    """
    from hil.history.sqlite import list_damaged  # noqa: PLC0415 - the database is imported on use
    from hil.history.store import History  # noqa: PLC0415 - the database is imported on use
    from hil.lab.files.trusted_path import refuse_untrusted  # noqa: PLC0415 - the database is imported on use

    try:
        check_regular(path)
    except OSError as error:
        why = str(error.strerror)
        raise HistoryError(f"{path} is no history", why=why, remedy="name a file with --history") from error
    aside = list_damaged(path)
    refuse_untrusted(path, "the history", "run it as its owner")
    for damaged in aside[-1:]:
        tell_user(f"an older history was damaged; it is kept in {damaged}")
    if not path.exists():
        raise HistoryError(
            f"there is no history in {path}",
            why="no run was recorded there yet",
            remedy=f"run nox -s nightly, or pytest --hil-history {path}",
        )
    return History(path, to_read=to_read)


def select_window(kept: History, nights: int, kind: str) -> Window:
    """Return the window of the newest nights.

    Raises:
        HistoryError: There is no run of this kind.
    """
    from hil.history.window import Window  # noqa: PLC0415 - the database is imported on use

    window = Window(kept, nights, kind, now_s=time.time())
    if window.ahead and not window.runs:  # this host's clock is wrong
        tell_user("every run is dated in the future: see whether this host's clock is right")
        window = Window(kept, nights, kind)
    if kind and not window.runs:
        kinds = sorted(repr(one) for (one,) in window.query("SELECT DISTINCT kind FROM run"))
        raise HistoryError(
            f"no run is of the kind {kind!r}",
            why=f"there are {', '.join(kinds)}" if kinds else "no run was recorded yet",
            remedy="hil history, for runs of all kinds",
        )
    return window
