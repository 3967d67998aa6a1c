"""Suggest the command line that was probably meant, for the remedy of an error."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from hil.errors import HilError
from hil.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["suggest_command_line"]

_BOARD: Final = re.compile(r"[0-9a-f]{8}|sim-[0-9]+")

_OF_COMMANDS: Final = ("--board", "--boards", "--wait")
"""Options with a value that stand after a command."""


def suggest_command_line(error: click.UsageError, argv: Sequence[str]) -> str:
    """Return the command line that was probably meant, or an empty text.

    Args:
        error: Click's error.
        argv: The arguments of `hil`.
    """
    context = error.ctx
    if context is None or isinstance(error, click.MissingParameter):
        return ""
    is_group = isinstance(context.command, click.Group)
    if isinstance(error, click.NoSuchOption):
        if not is_group:
            return _option_of_group(error.option_name, argv, context)
        return _option_last(error.option_name, argv, context) if error.option_name in _OF_COMMANDS else ""
    path = context.command_path.split()[1:]
    return (
        ""
        if is_group or list(argv[: len(path)]) != path
        else _of_arguments(error, context.command, argv, path)
    )


def _of_arguments(
    error: click.UsageError, command: click.Command, argv: Sequence[str], path: Sequence[str]
) -> str:
    """Return the words with the nearest choice, or with `--board` before a lone board."""
    parser = command.make_parser(click.Context(command))
    options, extra, _ = parser.parse_args(list(argv[len(path) :]))
    if isinstance(error, click.BadParameter):
        return _nearest_choice(error.param, options, argv)
    takes_board = any("--board" in parameter.opts for parameter in command.params)
    if takes_board and len(extra) == 1 and options.get("serial") is None and _may_be_a_board(extra[0]):
        return _typed([*(word for word in argv if word != extra[0]), "--board", extra[0]])
    return ""


def _may_be_a_board(word: str) -> bool:
    """Return True for a serial number, a simulated board or a place of the lab file."""
    if _BOARD.fullmatch(word):
        return True
    from hil.cli.board_context import current_lab  # noqa: PLC0415 - only after a typing error

    with suppress(HilError):
        return word in current_lab().places
    return False


def _option_last(option: str, argv: Sequence[str], context: click.Context) -> str:
    """Return the words with an option and its value at the end, after a command of the group.

    If no word but the group is typed, COMMAND stands for one of its commands, which are listed: the first may
    be one that cuts the DUT's power.
    """
    at, end = _span(option, argv)
    others, with_value = [*argv[:at], *argv[end:]], argv[at:end]
    words = [word for word in others if not word.startswith("-")]
    if words and words == context.command_path.split()[1:] and isinstance(context.command, click.Group):
        names = ", ".join(context.command.list_commands(context))
        return f"{_typed([*others, 'COMMAND', *with_value])}, where COMMAND is one of {names}"
    return _typed([*others, *with_value]) if words else ""


def _option_of_group(option: str, argv: Sequence[str], context: click.Context) -> str:
    """Return the words with an option of the command's group after its name, or an empty text."""
    group = context.parent
    if group is None or group.parent is None or group.info_name not in argv:
        return ""
    if not any(option in parameter.opts for parameter in group.command.params):
        return ""
    begin, (at, end) = argv.index(group.info_name) + 1, _span(option, argv)
    return _typed([*argv[:begin], *argv[at:end], *argv[begin:at], *argv[end:]])


def _span(option: str, argv: Sequence[str]) -> tuple[int, int]:
    """Return where an option begins in the words, and where its value ends."""
    at = next((at for at, word in enumerate(argv) if word.partition("=")[0] == option), len(argv))
    return at, at + (1 if "=" in "".join(argv[at : at + 1]) else 2)


def _nearest_choice(parameter: click.Parameter | None, options: dict[str, Any], argv: Sequence[str]) -> str:
    """Return the words with the nearest choice in place of a wrong value."""
    if parameter is None or not isinstance(parameter.type, click.Choice):
        return ""
    value = options.get(parameter.name or "")
    near = nearest(str(value), map(str, parameter.type.choices))
    return _typed([near if word == value else word for word in argv]) if near else ""


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["hil", *words])
