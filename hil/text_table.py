"""Tables as aligned lines with a head, for the terminal, and counts in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["counted", "section", "table"]


def counted(number: int, noun: str) -> str:
    """Return `1 test` or `2 tests`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the rows under their heads, indented; columns that are empty in each row are left out.

    Args:
        heads: The head of each column; one that ends with `>` has its column aligned to the right.
        rows: The cells of each row.
    """
    columns = [(head, cells) for head, *cells in zip(heads, *rows, strict=True) if any(cells)]
    aligned = [_aligned(head.removesuffix(">"), cells, head.endswith(">")) for head, cells in columns]
    return ["  " + "  ".join(line).rstrip() for line in zip(*aligned, strict=True)]


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Return lines under a title, after an empty line; nothing if there are none."""
    return ["", title, *lines] if lines else []


def _aligned(head: str, cells: Sequence[str], to_the_right: bool) -> list[str]:
    width = max(map(len, (head, *cells)))
    return [one.rjust(width) if to_the_right else one.ljust(width) for one in (head, *cells)]
