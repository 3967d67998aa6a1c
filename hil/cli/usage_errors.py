"""Say what is wrong with a command line, and which one was probably meant."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from hil.errors import HilError, UsageError
from hil.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_usage_error"]

_BOARD: Final = re.compile(r"[0-9a-f]{8}|sim-[0-9]+")

_NO_RANGE: Final = re.compile(r"is not a valid (integer|float|number)(?: range)?")
_EXTRA: Final = re.compile(r"unexpected extra arguments? \((.*)\)")
_QUOTE: Final = "'"
_PINS: Final = ("a", "b", "c", "d", "reset", "r")

_OF_COMMANDS: Final = ("--board", "--boards", "--wait")
"""Options with a value that stand after a command."""


def as_usage_error(error: click.ClickException, argv: Sequence[str], root: click.Command) -> UsageError:
    """Return click's error in the words of hil, with the command line that was probably meant.

    Args:
        error: Click's error.
        argv: The arguments of `hil`.
        root: The command `hil`.
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:  # click's parser knows none
        context = _context_of(argv, root)
    command = context.command_path
    near = getattr(error, "possibilities", None)
    meant = f"{command} {near[0]}" if near else ""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            what = f"{command} needs a command"
        case click.NoSuchOption():
            what = f"{command} has no option {error.option_name}"
            meant = _option_elsewhere(error, argv, context) or (
                _replaced(argv, error.option_name, near[0]) if near else ""
            )
        case click.MissingParameter(param=click.Parameter() as missing):
            what = f"{command} needs {_name(missing)}{_choices(missing)}"
            is_option = isinstance(missing, click.Option)
            meant = _typed([*argv, *([missing.opts[0]] if is_option else []), _value(missing)])
        case click.BadParameter(param=click.Parameter() as wrong):
            told = _NO_RANGE.sub(_number, error.message).rstrip(".")
            value, one_of, choices = told.partition(" is not one of ")
            what = f"{command} {_name(wrong)}: {value}{one_of}{choices.replace(_QUOTE, '')}"
            meant = _with_other_value(wrong, argv, context)
        case click.BadOptionUsage() if option := _option(error.option_name, context):
            if "not take a value" in error.message:
                what, meant = f"{command} {error.option_name} takes no value", _without_value(argv, option)
            else:
                what = f"{command} {error.option_name} needs a value{_choices(option)}"
                meant = f"{_typed(argv)} {_default(option) or _value(option)}"
        case click.UsageError() if extra := _EXTRA.search(error.message):
            more = "more " if _arguments(context) else ""
            what = f"{command} takes no {more}arguments: {extra[1]}"
            meant = _without_extra(argv, context)
        case _:
            what = " ".join(error.format_message().split()).rstrip(".")
    return UsageError(what, remedy=meant or f"{command} --help")


def _context_of(argv: Sequence[str], root: click.Command) -> click.Context:
    """Return the context of the command that the words begin with."""
    context = click.Context(root, info_name="hil")
    for word in argv:
        if isinstance(context.command, click.Group):
            below = context.command.get_command(context, word)
            context = click.Context(below, context, info_name=word) if below else context
    return context


def _number(found: re.Match[str]) -> str:
    return "is no whole number" if found[1] == "integer" else "is no number"


def _name(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else _value(parameter)


def _value(parameter: click.Parameter) -> str:
    """Return what stands for a value of an option, or for an argument."""
    name = (parameter.name or "").upper()
    return parameter.metavar or (
        name if isinstance(parameter, click.Argument) else parameter.type.name.upper()
    )


def _default(parameter: click.Parameter) -> str:
    """Return the default if a person could type it, else an empty text."""
    return str(parameter.default) if isinstance(parameter.default, str | int | float) else ""


def _choices(parameter: click.Parameter) -> str:
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    return f": one of {', '.join(map(str, choices))}" if choices else ""


def _arguments(context: click.Context) -> list[click.Parameter]:
    return [one for one in context.command.params if isinstance(one, click.Argument)]


def _option_elsewhere(error: click.NoSuchOption, argv: Sequence[str], context: click.Context) -> str:
    """Return the words with an option of another command of the line moved to that command."""
    if not isinstance(context.command, click.Group):
        return _option_of_group(error.option_name, argv, context)
    return _option_last(error.option_name, argv, context) if error.option_name in _OF_COMMANDS else ""


def _replaced(argv: Sequence[str], old: str, new: str) -> str:
    """Return the words with another option, which keeps its value."""
    return _typed([new + word[len(old) :] if word.partition("=")[0] == old else word for word in argv])


def _option(name: str, context: click.Context) -> click.Parameter | None:
    return next((one for one in context.command.params if name in (*one.opts, *one.secondary_opts)), None)


def _without_value(argv: Sequence[str], option: click.Parameter) -> str:
    return _typed([name if (name := word.partition("=")[0]) in option.opts else word for word in argv])


def _with_other_value(parameter: click.Parameter, argv: Sequence[str], context: click.Context) -> str:
    """Return the words with the nearest choice, or with a default, in place of a wrong value."""
    options, _, _ = _parsed(argv, context)
    value = options.get(parameter.name or "")
    if isinstance(parameter.type, click.Choice):
        new = nearest(str(value), map(str, parameter.type.choices)) or _default(parameter)
    else:
        new = _default(parameter) or _value(parameter)
    if not new or value not in argv:
        return ""
    return _typed([new if word == value else word for word in argv])


def _without_extra(argv: Sequence[str], context: click.Context) -> str:
    """Return the words without further arguments, or with `--board` before a lone board."""
    options, extra, _ = _parsed(argv, context)
    left = list(argv)
    for word in extra:
        left.reverse()
        left.remove(word)
        left.reverse()
    if context.command_path == "hil pins float" and extra[0].lower() in _PINS:
        return _typed(["pins", "set", extra[0], "floating"])
    takes_board = any("--board" in parameter.opts for parameter in context.command.params)
    if takes_board and len(extra) == 1 and options.get("serial") is None and _may_be_a_board(extra[0]):
        return _typed([*left, "--board", extra[0]])
    return _typed(left)


def _parsed(argv: Sequence[str], context: click.Context) -> tuple[dict[str, Any], list[str], Any]:
    """Return the values and the further arguments of a command, whose words stand after its name."""
    path = context.command_path.split()[1:]
    begin = 0
    for name in path:
        begin = list(argv).index(name, begin) + 1
    parser = context.command.make_parser(click.Context(context.command))
    return parser.parse_args(list(argv[begin:]))


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


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["hil", *words])
