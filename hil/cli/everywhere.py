"""What every command has: `--json` behind it as well as before, and places to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["complete_board", "offer_json", "wants_json"]

_OPTION = "--json"


def offer_json(command: click.Command) -> None:
    """Let a command, and all below it, take `--json` too; it counts as if it stood before the noun."""
    if not any(_OPTION in parameter.opts for parameter in command.params):
        option = click.Option(
            [_OPTION],
            is_flag=True,
            expose_value=False,
            callback=_note,
            help="Print data, and errors, as JSON.",
        )
        command.params.append(option)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            offer_json(below)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` is among the arguments of `hil`, and not of a command that it runs (behind `--`)."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return _OPTION in own


def complete_board(_context: click.Context, _option: click.Parameter, begin: str) -> list[CompletionItem]:
    """Offer the places of the lab file and the boards that were ever held here; no board is asked."""
    from hil.errors import HilError  # noqa: PLC0415 - the shell waits for this
    from hil.lab.board_record import known_boards  # noqa: PLC0415 - as above
    from hil.lab.lab_file import find_lab  # noqa: PLC0415 - as above
    from hil.lab.shared_folder import lock_folder  # noqa: PLC0415 - as above

    try:
        places = find_lab(None, Path.cwd()).places
        items = [CompletionItem(name, help=place.serial) for name, place in places.items()]
        items += [CompletionItem(serial) for serial in known_boards(lock_folder())]
    except (HilError, OSError):
        return []
    return [item for item in items if item.value.startswith(begin)]


def _note(context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        context.find_root().params["as_json"] = True
