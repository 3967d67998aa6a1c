"""The image that a test's marker asks for: `@pytest.mark.hardware(image="rescue.img.xz")`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.images.source import ImageSource, parse_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

__all__ = ["marked_image"]


def marked_image(item: pytest.Item) -> ImageSource | None:
    """Return the image that the nearest marker of a test asks for; None if no marker does.

    A relative path leads from the folder of the test's file, else from one above it, up to pytest's root.

    Raises:
        UsageError: There is no such file, or an address lacks its digest.
    """
    for mark in item.iter_markers():
        if "image" in mark.kwargs and mark.name in {"hardware", "mixed"}:
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
