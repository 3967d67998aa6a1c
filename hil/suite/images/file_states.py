"""The image files of a run as they were when the run was planned; a file that has changed is an error.

A program that has mapped a file can change it without a change of its times, so the digests of what was
flashed are compared as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hil.errors import FlashError
from hil.flash.fingerprint import stat_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hil.images.source import ImageSource

__all__ = ["Agree", "FileStates", "check_digest", "check_unchanged", "states_of"]

FileStates: TypeAlias = "dict[str, list[list[int]]]"
"""By the key of an image: what `stat_files` says of its file and of its block map. Plain data."""

Agree: TypeAlias = "Callable[[str, Any], Any]"
"""Takes a topic and what this process found; returns what a process of the run found first."""


_DIGITS: Final = 12


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


def check_digest(image: ImageSource, digest: str, agree: Agree) -> None:
    """Check that all boards of the run were given the same bytes of an image.

    Args:
        image: The image.
        digest: The digest of what was flashed now.
        agree: Returns the digest of what any process of the run flashed first.

    Raises:
        FlashError: The first flash of this image in the run had another digest.
    """
    first = agree(f"digest of image {image.key}", digest)
    if first != digest:
        raise FlashError(
            f"image {image.name} was changed during the run",
            why=f"its digest is {digest[:_DIGITS]}, and was {first[:_DIGITS]} when this run flashed it first"
            "; a program that has mapped the file can change it without a trace in its times",
            remedy="copy images that are built during a run, and run again",
        )


def _state_of(image: ImageSource) -> list[list[int]]:
    """Return the state of an image's files; it is empty if one of them cannot be looked at."""
    return [] if image.path is None else [list(one) for one in stat_files(image.path, bmap=True)]
