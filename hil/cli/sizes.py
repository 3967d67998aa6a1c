"""Sizes as people type them, a number of bytes or one with K, M or G; and as people read them."""

from __future__ import annotations

import click

__all__ = ["in_words", "parse_size"]

_KIBI = 1024

_UNITS = {"K": 10, "M": 20, "G": 30}


def parse_size(text: str) -> int:
    """Return bytes; raises click.BadParameter for what is no size. K is 1024."""
    shift = _UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    if not (digits.isascii() and digits.isdecimal()):
        raise click.BadParameter(f"{text!r} is no size: a number of bytes, or one with K, M or G")
    return int(digits) << shift


def in_words(size_bytes: int) -> str:
    """Return a size as people read it: in KiB, MiB or GiB, with a digit after the point where it matters."""
    value, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < _KIBI:
            break
        value, unit = value / _KIBI, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"
