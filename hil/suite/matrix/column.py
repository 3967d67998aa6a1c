"""A column of the matrix of tests, boards and images, and the column of a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from hil.images.source import ImageSource

__all__ = ["PARAMETER", "Column", "column_of"]

PARAMETER = "_hil_column"
"""The fixture that has the column as its parameter; `dutlink` requests it, and is set up for each column."""


@dataclass(frozen=True, slots=True)
class Column:
    """Boards of which a test runs on one, and the image that it runs with.

    Attributes:
        group: The name of the board or kind in the test's id; empty for any board.
        boards: Their serial numbers, or names of exporters; empty for any board.
        each: `board`, `kind` or `any`: what it stands for.
        image: The image, if it is certain before a board is acquired; else None.
        label: The name of the image in the test's id; empty if the boards run with one image only.
    """

    group: str
    boards: frozenset[str]
    each: str = "board"
    image: ImageSource | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """The part of the test's id."""
        return "-".join(filter(None, (self.group, self.label)))


def column_of(item: pytest.Item) -> Column | None:
    """Return the column of a test; None if the test is not parametrized by boards or images."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(PARAMETER) if callspec is not None else None
