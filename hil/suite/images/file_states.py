"""The image files of a run as they were when the run was planned; a file that has changed is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from hil.errors import FlashError
from hil.flash.fingerprint import stat_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.images.source import ImageSource

__all__ = ["FileStates", "check_unchanged", "states_of"]

FileStates: TypeAlias = "dict[str, list[list[int]]]"
"""By the key of an image: what `stat_files` says of its file and of its block map. Plain data."""


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
    return [] if image.path is None else [list(one) for one in stat_files(image.path, bmap=True)]
