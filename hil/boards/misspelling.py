"""Find misspelt tags and board names in requirements: a misspelt word is an error, not a missing board.

A word counts as misspelt only if every board on the bus has told its name and tags: a board that has not may
be the required one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hil.errors import UsageError
from hil.nearest import meant, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.lab.config.lab import Lab

__all__ = ["KnownWords"]

_SERIAL = re.compile(r"[0-9a-f]{8}")
_LIKE_A_SERIAL = 0.75  # at most two of eight digits differ; unrelated serial numbers share fewer digits


@dataclass(frozen=True, slots=True)
class KnownWords:
    """The words that requirements may have.

    Attributes:
        tags: The tags of boards and places.
        boards: Serial numbers and names of boards and places.
        certain: Whether every board on the bus has told its words.
    """

    tags: frozenset[str] = frozenset()
    boards: frozenset[str] = frozenset()
    certain: bool = True

    @classmethod
    def of(cls, infos: Iterable[BoardInfo], *, certain: bool = True) -> Self:
        """Return the words of boards.

        Args:
            infos: The boards.
            certain: Whether each board on the bus is among them.
        """
        known = list(infos)
        tags = frozenset().union(*(info.tags for info in known))
        return cls(
            tags, frozenset(word for info in known for word in (info.serial, info.name) if word), certain
        )

    @classmethod
    def of_lab(cls, lab: Lab) -> Self:
        """Return the words of a lab file, whose boards may be absent."""
        tags = frozenset(tag for place in lab.places.values() for tag in place.tags)
        return cls(tags, frozenset([*lab.places, *(place.serial for place in lab.places.values())]))

    def __or__(self, more: KnownWords) -> KnownWords:
        """Return these words and others."""
        return KnownWords(self.tags | more.tags, self.boards | more.boards, self.certain and more.certain)

    def and_now(self, told: KnownWords) -> KnownWords:
        """Return these words and those that boards told now; `certain` is that of `told`."""
        return KnownWords(self.tags | told.tags, self.boards | told.boards, told.certain)

    def as_data(self) -> dict[str, Any]:
        """Return the words as plain data."""
        return {"tags": sorted(self.tags), "boards": sorted(self.boards), "certain": self.certain}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the words that `as_data` wrote."""
        return cls(frozenset(data["tags"]), frozenset(data["boards"]), bool(data["certain"]))

    def mistake(self, requirement: BoardRequirement) -> UsageError | None:
        """Return what is misspelt in a requirement; None if its words are known, or too little is known."""
        if not self.certain or not self.boards:
            return None
        if requirement.board and not self._may_be_a_board(requirement.board):
            return _unknown("board", requirement.board, self.boards)
        unknown = sorted(requirement.tags - self.tags)
        return _unknown("tag", unknown[0], self.tags) if unknown else None

    def _may_be_a_board(self, board: str) -> bool:
        """Return True if a board is known, or if it may be the serial number of an unplugged board."""
        if board in self.boards:
            return True
        return _SERIAL.fullmatch(board) is not None and not nearest(board, self.boards, _LIKE_A_SERIAL)


def _unknown(what: str, word: str, known: Iterable[str]) -> UsageError:
    has = "is called" if what == "board" else "has the tag"
    return UsageError(
        f"no board {has} {word}",
        why=f"the {what}s are {', '.join(sorted(known))}" if known else f"no board has a {what}",
        remedy=meant(word, known) or f"correct the {what}, or put it into the lab file",
    )
