"""Keys of many parts in TOML, such as `a.b.c`: the parser's memory grows with the square of the parts."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["DEEPEST", "first_too_deep"]

DEEPEST: Final = 8
"""Parts of a key; a lab file needs four (`place.NAME.login.user`)."""

_NO_KEYS: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)|"(?:[^"\\\n]|\\.)*+["\n]?|\'[^\'\n]*+[\'\n]?|#[^\n]*',
    re.DOTALL,
)
"""Strings, which keys may be too, and comments (TOML 1.0). Unfinished ones as well: no match fails late."""

_TOO_DEEP: Final = re.compile(rf"(?<![\w.-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}")


def first_too_deep(text: str) -> int | None:
    """Return the number of the first line, from 1, with a key of more than `DEEPEST` parts, or None."""
    bare = _NO_KEYS.sub(lambda found: "s" + "\n" * found.group().count("\n"), text)
    deep = _TOO_DEEP.search(bare)
    return None if deep is None else 1 + bare.count("\n", 0, deep.start())
