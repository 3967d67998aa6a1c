"""Values on the command line: numbers of seconds or days, and sizes."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["QUANTITY", "format_size", "parse_size"]

_KIBI = 1024

_UNITS = {"K": 10, "M": 20, "G": 30}

_MOST = 10_000_000
"""In seconds a third of a year. Not all clocks of the kernel accept more."""


class _Quantity(click.FloatRange):
    """A number in a range; `nan` is refused."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number

    def _describe_range(self) -> str:
        """Leave the range out of the help: any number that a person means is in it."""
        return ""


QUANTITY = _Quantity(0, _MOST)
"""Seconds or days, 0 to ten million."""


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `64M`; raise click.BadParameter if it is none. K is 1024."""
    shift = _UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    if not (digits.isascii() and digits.isdecimal()):
        raise click.BadParameter(f"{text!r} is no size: a number of bytes, or one with K, M or G")
    return int(digits) << shift


def format_size(size_bytes: int) -> str:
    """Return a size in KiB, MiB or GiB, with one decimal if it is not zero."""
    value, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < _KIBI:
            break
        value, unit = value / _KIBI, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"
