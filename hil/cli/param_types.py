"""Numbers of seconds or days as people type them."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["QUANTITY"]

_MOST = 10_000_000
"""As seconds a third of a year; more of them, the kernel's clocks do not take everywhere."""


class _Quantity(click.FloatRange):
    """A number in its range; `nan` is in none."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - as click has it
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


QUANTITY = _Quantity(0, _MOST)
"""Seconds or days, 0 to ten million."""
