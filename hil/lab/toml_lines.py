"""In which line of a TOML text a value stands; the parser does not tell."""

from __future__ import annotations

import tomllib
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["line_of"]


def line_of(text: str, path: Sequence[str | int]) -> int:
    """Return the number of the line, from 1, where the value at `path` begins.

    The first lines of a valid text are valid up to each end of a statement; the statement after whose end the
    value is there is the one that made it. Where `path` goes further than the text, its last part that is
    there counts.
    """
    lines = text.splitlines(keepends=True)
    whole = tomllib.loads(text)
    known = next(path[:size] for size in range(len(path), -1, -1) if _has(whole, path[:size]))
    begin = 0
    for number, beginning in enumerate(accumulate(lines), start=1):
        try:
            content = tomllib.loads(beginning)
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a statement
        if _has(content, known):
            return 1 + next(at for at in range(begin, number) if _says_something(lines[at]))
        begin = number
    return 1


def _has(content: Any, path: Sequence[str | int]) -> bool:  # noqa: ANN401 - any TOML value
    for part in path:
        try:
            content = content[part]
        except (LookupError, TypeError):
            return False
    return bool(path) or bool(content)


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
