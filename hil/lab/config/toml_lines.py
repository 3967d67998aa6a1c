"""Lines of a TOML text, which the parser does not tell: of a value, and of a key with too many parts."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DEEPEST", "first_too_deep", "line_of"]

DEEPEST: Final = 8
"""How many parts a key may have; a lab file needs four (`place.NAME.login.user`).

The parser's memory grows with the square of the parts.
"""

_NO_KEYS: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)|"(?:[^"\\\n]|\\.)*+["\n]?|\'[^\'\n]*+[\'\n]?|#[^\n]*',
    re.DOTALL,
)
"""Strings, which may also be keys, and comments (TOML 1.0), also unfinished: so no match is slow."""

_TOO_DEEP: Final = re.compile(rf"(?<![\w.-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}")


def first_too_deep(text: str) -> int | None:
    """Return the first line, from 1, with a key of more than `DEEPEST` parts; None if there is none."""
    bare = _NO_KEYS.sub(lambda found: "s" + "\n" * found.group().count("\n"), text)
    deep = _TOO_DEEP.search(bare)
    return None if deep is None else 1 + bare.count("\n", 0, deep.start())


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the number of the line, from 1, where the value at `path` begins.

    The first lines of a valid text are themselves valid if they end with a statement, and the value exists
    after the statement that defines it. So that statement is found by bisection. If there is no value at
    `path`, the longest part of `path` that has a value counts.
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
    return 1 + next((at for at in range(without, with_it) if _has_content(lines[at])), 0)


def _end_between(lines: Sequence[str], low: int, high: int) -> int | None:
    """Return an end of a statement between two others, near their middle; None if there is none."""
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


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
