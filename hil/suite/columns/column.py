"""A column: the boards of which a test runs on one, and its image; and the columns of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from hil.images.choice import ImageChoice
    from hil.images.source import ImageSource
    from hil.suite.columns.listed_boards import ListedBoard

__all__ = ["PARAMETER", "Column", "column_of", "split_by_board", "split_by_image"]

PARAMETER = "_hil_column"
"""The fixture that has the column as its parameter; `dutlink` requests it, and is set up for each column."""

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._+-]")


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

    def is_like(self, other: Column) -> bool:
        """Return True if another column has the same name and kind; its image may be another."""
        return (self.name, self.each) == (other.name, other.each)


def column_of(item: pytest.Item) -> Column | None:
    """Return the column of a test; None if the test is not parametrized by boards or images."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(PARAMETER) if callspec is not None else None


def split_by_board(boards: Sequence[ListedBoard], each: str, tags: frozenset[str]) -> list[Column]:
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


def split_by_image(
    columns: Sequence[Column],
    boards: Sequence[ListedBoard],
    choices: Sequence[ImageChoice],
) -> list[Column]:
    """Return a column for each image of each column; a column with one image, or none, stays as it is.

    Args:
        columns: The columns by boards; none for a test that runs on any board.
        boards: The boards of the run.
        choices: The images of the run.
    """
    from hil.images.source import image_labels  # noqa: PLC0415 - only for runs with images

    sources = list(dict.fromkeys(choice.source for choice in choices))
    labels = dict(zip(sources, image_labels(sources), strict=True))
    split = []
    for column in columns or [Column("", frozenset(), "any")]:
        images = _images_of(column, boards, choices)
        is_whole = [frozenset(serials) for serials in images.values()] == [column.boards]
        if is_whole and column.group:
            split.append(replace(column, image=next(iter(images))))
        elif len(images) > 1:
            for image, serials in images.items():
                split.append(replace(column, boards=frozenset(serials), image=image, label=labels[image]))
        elif column.group:
            split.append(column)
    return split


def _images_of(
    column: Column, boards: Sequence[ListedBoard], choices: Sequence[ImageChoice]
) -> dict[ImageSource, list[str]]:
    """Return the images of a column, each with the boards of the column that run with it."""
    from hil.images.choice import choose_images  # noqa: PLC0415 - only for runs with images

    images: dict[ImageSource, list[str]] = {}
    if not column.boards:
        return {image: [] for image in choose_images(choices, (), ())}
    for board in boards:
        if board.board in column.boards:
            for image in choose_images(choices, (board.board, board.name), board.tags or ()):
                images.setdefault(image, []).append(board.board)
    return images
