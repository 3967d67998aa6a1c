"""Bound the steps of a search with a pattern: with some patterns Python's `re` backtracks very long."""

from __future__ import annotations

import importlib
import math
import re
from functools import lru_cache
from typing import Any, Final

__all__ = ["most_steps"]

_PARSER: Final = importlib.import_module("re._parser")
_UNBOUNDED: Final = 1000
_ONE_WAY: Final = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "CATEGORY"})
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})

_Ways = tuple[float, float]
"""A factor and an exponent: from each of n bytes on there are at most factor * n ** exponent ways to
match."""


def most_steps(pattern: re.Pattern[bytes], size_bytes: int) -> float:
    """Return an upper bound of the steps of a search in so many bytes; infinite if none is known."""
    factor, exponent = _ways_of(pattern.pattern, pattern.flags)
    try:
        return factor * math.pow(max(1.0, size_bytes), exponent + 1)
    except OverflowError:
        return math.inf


@lru_cache(maxsize=256)
def _ways_of(source: bytes, flags: int) -> _Ways:
    try:
        return _ways(_PARSER.parse(source, flags & ~re.DEBUG))
    except Exception:  # noqa: BLE001 - the parser is Python's own, and may change
        return math.inf, 0.0


def _ways(items: Any) -> _Ways:  # noqa: ANN401 - the parser's own types
    factor, exponent = 1.0, 0.0
    for operation, argument in items:
        more, higher = _ways_of_item(str(operation), argument)
        factor, exponent = factor * more, exponent + higher
    return factor, exponent


def _ways_of_item(name: str, argument: Any) -> _Ways:  # noqa: ANN401 - as above
    if name in _ONE_WAY:
        return 1.0, 0.0
    if name in _REPEATS:
        return _ways_of_repeat(*argument)
    if name == "BRANCH":
        several = [_ways(each) for each in argument[1]]
        return sum(factor for factor, _ in several), max(exponent for _, exponent in several)
    if name in {"SUBPATTERN", "ASSERT", "ASSERT_NOT"}:
        return _ways(argument[-1])
    if name == "ATOMIC_GROUP":
        return _ways(argument)
    return math.inf, 0.0  # back references, conditions, and what later versions bring


def _ways_of_repeat(least: int, most: int, item: Any) -> _Ways:  # noqa: ANN401 - as above
    factor, exponent = _ways(item)
    if factor == 1.0 and exponent == 0.0:  # an item of one fixed length matches in one way
        return (1.0, 1.0) if most >= _UNBOUNDED else (most - least + 1.0, 0.0)
    if most >= _UNBOUNDED:
        return math.inf, 0.0
    return math.pow(factor, most) if factor < 2.0**20 and most < 2.0**5 else math.inf, exponent * most
