"""Make columns of the boards that a run lists: one for each board, or one for each kind of board."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hil.suite.matrix.column import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.suite.matrix.listed_boards import ListedBoard

__all__ = ["columns_of"]

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._+-]")


def columns_of(boards: Sequence[ListedBoard], each: str, tags: frozenset[str]) -> list[Column]:
    """Return the columns for a test, in the order of the boards.

    Args:
        boards: The boards of the run.
        each: `board`, or `kind`.
        tags: The tags that the test requires: boards without them are left out.
    """
    groups: dict[str, list[ListedBoard]] = {}
    for board in boards:
        groups.setdefault(board.name if each == "board" else board.kind, []).append(board)
    columns: dict[str, Column] = {}
    fitting = []
    for name, group in groups.items():
        identifier = _NOT_IN_IDS.sub("_", name)
        while identifier in columns:
            identifier += "_"
        columns[identifier] = Column(identifier, frozenset(board.board for board in group), each)
        if any(board.may_have(tags) for board in group):
            fitting.append(columns[identifier])
    return fitting
