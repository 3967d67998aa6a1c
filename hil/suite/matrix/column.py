"""A column of the matrix of tests and boards, and the column of a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["PARAMETER", "Column", "column_of"]

PARAMETER = "_hil_column"
"""The fixture that has the column as its parameter; `dutlink` requests it, and is set up for each column."""


@dataclass(frozen=True, slots=True)
class Column:
    """Boards of which a test runs on one.

    Attributes:
        name: The part of the test's id.
        boards: Their serial numbers, or names of exporters.
        each: `board` or `kind`: what it stands for.
    """

    name: str
    boards: frozenset[str]
    each: str = "board"


def column_of(item: pytest.Item) -> Column | None:
    """Return the column of a test; None for a test that is not run once for each."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(PARAMETER) if callspec is not None else None
