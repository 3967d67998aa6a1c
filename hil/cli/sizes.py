"""Sizes as people type them: a number of bytes, or one with K, M or G."""

from __future__ import annotations

import click

__all__ = ["parse_size"]

_UNITS = {"K": 10, "M": 20, "G": 30}


def parse_size(text: str) -> int:
    """Return bytes; raises click.BadParameter for what is no size. K is 1024."""
    shift = _UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    if not (digits.isascii() and digits.isdecimal()):
        raise click.BadParameter(f"{text!r} is no size: a number of bytes, or one with K, M or G")
    return int(digits) << shift
