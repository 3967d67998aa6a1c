"""Make columns of the boards and images of a run: one for each board or kind of board, and for each image."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hil.images.choice import choose_images
from hil.suite.matrix.column import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hil.images.choice import ImageChoice
    from hil.images.source import ImageSource
    from hil.suite.matrix.listed_boards import ListedBoard

__all__ = ["columns_of", "split_by_image"]

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


def split_by_image(
    columns: Sequence[Column],
    boards: Sequence[ListedBoard],
    choices: Sequence[ImageChoice],
    labels: Mapping[ImageSource, str],
) -> list[Column]:
    """Return a column for each image of each column; a column with one image, or none, stays as it is.

    Args:
        columns: The columns by boards; none for a test that runs on any board.
        boards: The boards of the run.
        choices: The images of the run.
        labels: The label of each image.
    """
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
    images: dict[ImageSource, list[str]] = {}
    if not column.boards:
        return {image: [] for image in choose_images(choices, (), ())}
    for board in boards:
        if board.board in column.boards:
            for image in choose_images(choices, (board.board, board.name), board.tags or ()):
                images.setdefault(image, []).append(board.board)
    return images
