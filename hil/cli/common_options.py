"""Parts of every command: `--json` after it as well as before it, examples, exit statuses."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from hil.cli.help_texts import EXAMPLES, SHORT, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["add_common_options", "wants_json"]

_OPTION = "--json"
_AS_WRITTEN = "\b"
"""Click's mark for lines that are not wrapped."""


def add_common_options(root: click.Command, name: str) -> None:
    """Add the common parts to a command and to its loaded subcommands."""
    for path, command in _there_below(root, name):
        command.short_help = SHORT.get(path)
        _offer_json(command)
        _complete_help(path, command)


def _there_below(root: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, root
    for below, command in root.commands.items() if isinstance(root, click.Group) else ():
        yield from _there_below(command, f"{name} {below}")


def wants_json(arguments: Sequence[str]) -> bool:
    """Return True if `--json` is an argument of `hil`; arguments after `--` belong to another command."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return _OPTION in own


def _offer_json(command: click.Command) -> None:
    """Add `--json` to a command; it has the same effect as before the command."""
    if not any(_OPTION in parameter.opts for parameter in command.params):
        text = "Print data and errors as JSON."
        option = click.Option([_OPTION], is_flag=True, expose_value=False, callback=_note, help=text)
        command.params.append(option)


def _note(context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        context.find_root().params["as_json"] = True


def _complete_help(path: str, command: click.Command) -> None:
    text = inspect.cleandoc(command.help or "")
    text = text.replace("\\b\n", f"{_AS_WRITTEN}\n")  # in raw docstrings the mark is two characters
    examples = () if f"{_AS_WRITTEN}\n{path.split(maxsplit=1)[0]} " in text else EXAMPLES.get(path, ())
    block = [f"{_AS_WRITTEN}\n" + "\n".join(examples)] if examples else []
    group = isinstance(command, click.Group) and not command.invoke_without_command
    statuses = [] if "Exit status:" in text or (group and path != "hil") else [STATUSES]
    command.help = "\n\n".join(filter(None, [text.strip(), *block, *statuses]))
