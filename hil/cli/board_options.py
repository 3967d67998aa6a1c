"""Options of the commands that use one board, and the completion of its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import click

from hil.cli.param_types import QUANTITY
from hil.dutlink.timing import ANSWER_LIMIT_S, GLANCE_S

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["BoardSelection", "board_command", "boards_option", "complete_board", "wait_option"]

_MOST_BOARDS = 8
"""Limit for completion: simulated boards leave records, too, so there may be hundreds."""

_HARMLESS = r"[A-Za-z0-9._@+-]+"

Verb: TypeAlias = Callable[..., Any]


class BoardSelection(NamedTuple):
    """The board that a command uses.

    Attributes:
        serial: Its serial number or place, or None for the only board.
        wait_s: How long to wait for a board in use, and then for a silent one, in seconds.
        boards: Value of `--boards`.
    """

    serial: str | None
    wait_s: float
    boards: str

    @property
    def silence_s(self) -> float:
        """How long the board may be silent when it is opened, in seconds: each board gets a glance."""
        return min(ANSWER_LIMIT_S, max(GLANCE_S, self.wait_s))


boards_option = click.option(
    "--boards",
    envvar="HIL_BOARDS",
    default="usb",
    show_default=True,
    metavar="WHERE",
    help="usb, or sim@PORT for running simulated boards. Environment variable: HIL_BOARDS.",
)


def complete_board(_context: click.Context, _option: click.Parameter, begin: str) -> list[CompletionItem]:
    """Complete places of the lab file and boards that were used last, without a request to any board.

    bash inserts a completed word unquoted, so that `$(...)` in it would run. Other users can write the files
    that names come from, so only names that a shell reads as plain words are completed.
    """
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - the shell waits for the completion

    from hil.errors import HilError  # noqa: PLC0415 - the shell waits for the completion
    from hil.lab.config.lab_file import find_lab  # noqa: PLC0415 - the shell waits for the completion
    from hil.lab.locks.lock_dir import lock_folder  # noqa: PLC0415 - the shell waits for the completion
    from hil.lab.safe_state.record import newest_boards  # noqa: PLC0415 - the shell waits for the completion

    try:
        places = find_lab(None, Path.cwd()).places
        items = [CompletionItem(name, help=place.serial) for name, place in places.items()]
        items += [CompletionItem(serial) for serial in newest_boards(lock_folder(), _MOST_BOARDS)]
    except (HilError, OSError):
        return []
    return [item for item in items if item.value.startswith(begin) and re.fullmatch(_HARMLESS, item.value)]


_SERIAL = click.option(
    "--board",
    "serial",
    envvar="HIL_BOARD",
    metavar="SERIAL",
    shell_complete=complete_board,
    help="Serial number or place; needed if there are several boards. Environment variable: HIL_BOARD.",
)


def wait_option(text: str) -> Callable[[Verb], Verb]:
    """Return the option `--wait` with a help text."""
    return click.option(
        "--wait",
        "wait_s",
        type=QUANTITY,
        default=30,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


def board_command(verb: Verb) -> Verb:
    """Add the options to a command, and the argument `selection` to its function."""

    @_SERIAL
    @wait_option("How long to wait for a board in use, and then for one that is silent.")
    @boards_option
    @wraps(verb)
    def with_board(*, serial: str | None, wait_s: float, boards: str, **rest: Any) -> Any:  # noqa: ANN401 - click's
        return verb(selection=BoardSelection(serial, wait_s, boards), **rest)

    return with_board
