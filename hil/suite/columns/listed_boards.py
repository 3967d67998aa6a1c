"""List the boards of a run by names that stay the same: the places of the lab file, else what is there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from hil.errors import HilError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hil.boards.board_source import BoardSource
    from hil.boards.requirements import BoardInfo
    from hil.lab.config.lab import Lab

__all__ = ["ListedBoard", "list_boards"]

UNTAGGED = "untagged"
"""The kind of boards without tags, where each set of tags is a kind."""


@dataclass(frozen=True, slots=True)
class ListedBoard:
    """A board that the run lists; it may be absent.

    Attributes:
        name: The name of its place, or another that is the same in each run.
        board: Its serial number, or the name of its exporter.
        kind: Its kind.
        tags: Its tags; None: they are not known.
    """

    name: str
    board: str
    kind: str
    tags: frozenset[str] | None = None

    def may_have(self, tags: frozenset[str]) -> bool:
        """Return True unless the board is known not to have all of these tags."""
        return self.tags is None or tags <= self.tags

    def as_data(self) -> dict[str, Any]:
        """Return the board as plain data."""
        return asdict(self) | {"tags": None if self.tags is None else sorted(self.tags)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the board that `as_data` wrote."""
        tags = data["tags"]
        return cls(data["name"], data["board"], data["kind"], None if tags is None else frozenset(tags))


def list_boards(
    source: BoardSource, lab: Lab, infos: Sequence[BoardInfo], only: str = ""
) -> list[ListedBoard]:
    """Return the boards of a run, present or not; none if they cannot be listed: then the tests say why.

    Args:
        source: Where the boards are.
        lab: The lab file. For simulated boards it counts only if one of them is in it.
        infos: The boards that answer now: a board may store tags that the lab file does not have.
        only: Serial number or name of the only board that the run may use; empty for any.
    """
    names: dict[str, str] = {}
    if source.is_simulated or not lab.places:
        with suppress(HilError):
            names = source.list_names()
    serials = {place.serial for place in lab.places.values()}
    if lab.places and (not source.is_simulated or not serials.isdisjoint(names.values())):
        listed = _list_places(lab, infos)
    else:
        listed = _list_sighted(names, infos)
    called = {info.serial for info in infos if only == info.name}
    return [one for one in listed if only in ("", one.name, one.board) or one.board in called]


def _list_places(lab: Lab, infos: Iterable[BoardInfo]) -> list[ListedBoard]:
    """Return the places of a lab file by name; their kinds come from the file if it has any kind or tag."""
    stored = {info.serial: info.tags for info in infos}
    has_kinds = any(place.kind for place in lab.places.values())
    has_tags = any(place.tags for place in lab.places.values())
    listed = []
    for name, place in sorted(lab.places.items()):
        tags = stored.get(place.serial, frozenset(place.tags) or None)
        kind = (place.kind or name) if has_kinds else _kind_of(place.tags if has_tags else tags)
        listed.append(ListedBoard(name, place.serial, kind, tags))
    return listed


def _list_sighted(names: Mapping[str, str], infos: Iterable[BoardInfo]) -> list[ListedBoard]:
    stored = {info.serial: info.tags for info in infos}
    return [
        ListedBoard(name, board, _kind_of(stored.get(board)), stored.get(board))
        for name, board in names.items()
    ]


def _kind_of(tags: Iterable[str] | None) -> str:
    return "+".join(sorted(set(tags or ()))) or UNTAGGED
