"""Names and tags of places, as people type them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hil.lab.config.place import NAME

if TYPE_CHECKING:
    from hil.lab.config.lab import Lab

__all__ = ["default_name", "split_words"]


def split_words(text: str) -> list[str]:
    """Take words apart that have commas or white space between them; each once, in their order."""
    return list(dict.fromkeys(re.findall(r"[^\s,]+", text)))


def default_name(lab: Lab, serial: str, stored: str) -> str:
    """Return a name for a new place: the one that its board stores, if it can be one and is free."""
    usable = NAME.fullmatch(stored) and stored not in lab.places
    return stored if usable else f"board-{serial}"
