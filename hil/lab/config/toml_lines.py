"""In which line of a TOML text a value stands; the parser does not tell."""

from __future__ import annotations

import tomllib
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["line_of"]


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the number of the line, from 1, where the value at `path` begins.

    The first lines of a valid text are valid up to each end of a statement; the statement after whose end the
    value is there is the one that made it. Where `path` goes further than the text, its last part that is
    there counts. What has been there once stays there, so the statement is found by halving.
    """
    lines = text.split("\n")
    whole = tomllib.loads(text)
    known = next(path[:size] for size in range(len(path), -1, -1) if _has(whole, path[:size]))
    without, with_it = 0, len(lines)
    while (end := _end_between(lines, without, with_it)) is not None:
        if _has(tomllib.loads(_first(lines, end)), known):
            with_it = end
        else:
            without = end
    return 1 + next((at for at in range(without, with_it) if _says_something(lines[at])), 0)


def _end_between(lines: Sequence[str], low: int, high: int) -> int | None:
    """Return an end of a statement between two others, near their middle; None where there is none."""
    middle = (low + high) // 2
    ends = chain(range(middle, high), range(middle - 1, low, -1))
    return next((end for end in ends if low < end < high and _is_valid(_first(lines, end))), None)


def _first(lines: Sequence[str], number: int) -> str:
    return "\n".join(lines[:number])


def _is_valid(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _has(content: Any, path: Sequence[str | int]) -> bool:  # noqa: ANN401 - any TOML value
    for part in path:
        try:
            content = content[part]
        except (LookupError, TypeError):
            return False
    return bool(path) or bool(content)


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
