"""Choose the images of a board: those for its serial number or name, else its tags, else for all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.images.source import ImageSource, parse_image

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

__all__ = ["ImageChoice", "choose_images", "parse_choice"]

_CHOICE = re.compile(r"(?P<board>[A-Za-z0-9][A-Za-z0-9._-]*)=(?P<image>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """An image for some boards.

    Attributes:
        source: The image.
        board: The serial number, name or tag of the boards; empty for every board.
    """

    source: ImageSource
    board: str = ""


def parse_choice(text: str, folder: Path) -> ImageChoice:
    """Return the choice that a user wrote as `IMAGE` or `PLACE_OR_TAG=IMAGE`.

    A file whose name has a `=` is written with its folder, such as `./a=b.img`.

    Args:
        text: The text.
        folder: The folder from which a relative path leads.

    Raises:
        UsageError: See `hil.images.source.parse_image`.
    """
    parts = _CHOICE.fullmatch(text)
    if parts is None:
        return ImageChoice(parse_image(text, folder))
    return ImageChoice(parse_image(parts["image"], folder), parts["board"])


def choose_images(
    choices: Sequence[ImageChoice], names: Collection[str], tags: Collection[str]
) -> tuple[ImageSource, ...]:
    """Return the images of a board, in the order of the choices; none if no choice is for it.

    Args:
        choices: The choices of the run.
        names: The board's serial number and name.
        tags: The board's tags.
    """
    for suits in (names, tags, ("",)):
        images = dict.fromkeys(choice.source for choice in choices if choice.board in suits)
        if images:
            return tuple(images)
    return ()
