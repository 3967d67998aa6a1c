"""Names and tags of places, as users type them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hil.lab.config.place import NAME

if TYPE_CHECKING:
    from hil.lab.config.lab import Lab

__all__ = ["default_name", "split_words"]


def split_words(text: str) -> list[str]:
    """Split a text at commas and white space; return each word once, in order."""
    return list(dict.fromkeys(re.findall(r"[^\s,]+", text)))


def default_name(lab: Lab, serial: str, stored: str) -> str:
    """Return a name for a new place: the name that the board stores, if it is valid and free."""
    usable = NAME.fullmatch(stored) and stored not in lab.places
    return stored if usable else f"board-{serial}"
