"""The image of a test itself: of its column, or of its marker `hardware(image="rescue.img.xz")`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite.columns.column import column_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.images.source import ImageSource

__all__ = ["own_image"]

_OWN = pytest.StashKey["ImageSource | None"]()


def own_image(item: pytest.Item) -> ImageSource | None:
    """Return the image of a test's marker or column, found once; None if it takes that of its board.

    Raises:
        UsageError: There is no such image.
    """
    if _OWN not in item.stash:
        column = column_of(item)
        item.stash[_OWN] = _marked_image(item) or (column.image if column is not None else None)
    return item.stash[_OWN]


def _marked_image(item: pytest.Item) -> ImageSource | None:
    """Return the image that the nearest marker of a test asks for; None if no marker does.

    A relative path leads from the folder of the test's file, else from one above it, up to pytest's root.

    Raises:
        UsageError: There is no such file, or an address lacks its digest.
    """
    for mark in item.iter_markers():
        if "image" in mark.kwargs and mark.name in {"hardware", "mixed"}:
            from hil.images.source import parse_image  # noqa: PLC0415 - only for runs with images

            asked: str = mark.kwargs["image"]
            folders = list(_folders(item))
            here = (folder for folder in folders if (folder / asked).is_file())
            return parse_image(asked, next(here, folders[0]))
    return None


def _folders(item: pytest.Item) -> Iterator[Path]:
    yield item.path.parent
    for folder in item.path.parent.parents:
        if folder.is_relative_to(item.config.rootpath):
            yield folder
