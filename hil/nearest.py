"""Find the known word that a misspelt word probably stands for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["meant", "nearest"]


_DECIMALS = "0123456789"


def nearest(word: str, known: Iterable[str], likeness: float = 0.5) -> str:
    """Return the known word that is most like another one; empty if none is.

    Args:
        word: The unknown word.
        known: The words to choose from.
        likeness: How alike they have to be, from 0 to 1.
    """
    return _nearest(word, tuple(sorted(known)), likeness)


@lru_cache(maxsize=1024)  # asked for each marker of thousands of tests, which have few different ones
def _nearest(word: str, known: tuple[str, ...], likeness: float) -> str:
    by_folded = {one.lower(): one for one in known}
    from difflib import get_close_matches  # noqa: PLC0415 - only after a typing error

    near = get_close_matches(word.lower(), by_folded, n=1, cutoff=likeness)
    return by_folded[near[0]] if near else ""


def meant(word: str, known: Iterable[str]) -> str:
    """Return the question `did you mean ...?` with the nearest word; empty if none is near.

    It is empty, too, if several words differ only in their number: sim-9 may stand for sim-1 and for sim-2.
    """
    words = set(known)
    stem = word.rstrip(_DECIMALS)
    if stem and sum(one.rstrip(_DECIMALS) == stem for one in words) > 1:
        return ""
    near = nearest(word, words)
    return f"did you mean {near}?" if near else ""
