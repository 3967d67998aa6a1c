"""The matrix as Markdown: the table, and its place in the page that keeps it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.kill_matrix.kill_cell import Outcome

HEAD = "| what ends the run | started as | DUT off after | all over after | made safe by | board and lock |\n"
RULE = "| --- | --- | --- | --- | --- | --- |\n"


def table(outcomes: Iterable[Outcome]) -> str:
    """The table, a row for each cell."""
    return HEAD + RULE + "\n".join(_row(outcome) for outcome in outcomes)


def with_table(page: str, new: str) -> str:
    """Return the page with its table replaced.

    Raises:
        ValueError: There is none, or more than one.
    """
    changed, number = re.subn(r"(^\|.*\n)+", lambda _old: f"{new}\n", page, flags=re.MULTILINE)
    if number != 1:
        message = f"the page has {number} tables, not one"
        raise ValueError(message)
    return changed


def _row(outcome: Outcome) -> str:
    off = "never" if outcome.off_s is None else f"{outcome.off_s:.2f} s"
    result = "; ".join(outcome.problems).replace("\n", " ").replace("|", "/") or "safe"
    cells = (outcome.cause, f"`{outcome.way}`", off, f"{outcome.over_s:.1f} s", outcome.made_safe_by, result)
    return f"| {' | '.join(cells)} |"
