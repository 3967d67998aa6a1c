"""Options of the commands that use one board."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeAlias

import click

from hil.cli.common_options import complete_board
from hil.cli.param_types import QUANTITY

__all__ = ["BoardSelection", "board_command", "boards_option", "wait_option"]

Verb: TypeAlias = Callable[..., Any]


class BoardSelection(NamedTuple):
    """The board that a command uses.

    Attributes:
        serial: Its serial number or place, or None for the only board.
        wait_s: How long to wait for a board in use, in seconds.
        boards: Value of `--boards`.
    """

    serial: str | None
    wait_s: float
    boards: str


boards_option = click.option(
    "--boards",
    envvar="HIL_BOARDS",
    default="usb",
    show_default=True,
    metavar="WHERE",
    help="usb, or sim@PORT for running simulated boards. Environment variable: HIL_BOARDS.",
)

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
    @wait_option("How long to wait for a board in use.")
    @boards_option
    @wraps(verb)
    def with_board(*, serial: str | None, wait_s: float, boards: str, **rest: Any) -> Any:  # noqa: ANN401 - click's
        return verb(selection=BoardSelection(serial, wait_s, boards), **rest)

    return with_board
