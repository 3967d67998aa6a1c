"""The image files of a run as they were when the run was planned; a file that has changed is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from hil.errors import FlashError
from hil.flash.formats.open import find_bmap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.images.source import ImageSource

__all__ = ["FileStates", "check_unchanged", "states_of"]

FileStates: TypeAlias = "dict[str, list[list[int]]]"
"""By the key of an image: device, inode, size, mtime and ctime of its file and of its block map. Plain data.

A build may keep size and mtime of a file that it writes again; no program can set its ctime.
"""


def states_of(images: Iterable[ImageSource]) -> FileStates:
    """Return the states of the images that are files."""
    return {image.key: _state_of(image) for image in images if image.path is not None}


def check_unchanged(image: ImageSource, planned: Mapping[str, list[list[int]]]) -> None:
    """Check that the file of an image, its block map and the links to it are as they were.

    Args:
        image: The image.
        planned: The states when the run was planned.

    Raises:
        FlashError: One of them has changed.
    """
    now = _state_of(image)
    if image.path is not None and planned.get(image.key) != now:
        raise FlashError(
            f"image {image.name} was {'changed' if now else 'removed'} during the run",
            why="its file, its block map or a link to it is not as it was when the run was planned, so tests "
            "of one run would run with two images",
            remedy="copy images that are built during a run, and run again",
        )


def _state_of(image: ImageSource) -> list[list[int]]:
    """Return the state of an image's files; it is empty if one of them cannot be looked at."""
    if image.path is None:
        return []
    try:
        found = [path.stat() for path in (image.path, find_bmap(image.path)) if path is not None]
    except OSError:
        return []
    return [[one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns] for one in found]
