"""Choose the boards of a process that needs several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["choose", "is_possible"]


def choose(choices: Sequence[Sequence[str]], usable: Collection[str]) -> list[str] | None:
    """Return one usable board for each choice, all different, or None if there are too few.

    Args:
        choices: For each board that is needed, the boards that would do, the preferred one first.
        usable: The boards that can be chosen.
    """
    if len(choices) > len(usable):
        return None
    if not choices:
        return []
    first, *others = choices
    for serial in first:
        if serial in usable:
            rest = choose(others, [one for one in usable if one != serial])
            if rest is not None:
                return [serial, *rest]
    return None


def is_possible(choices: Sequence[Sequence[str]]) -> bool:
    """Return True if there are enough boards for all choices, as long as each of them is free."""
    return choose(choices, {serial for serials in choices for serial in serials}) is not None
