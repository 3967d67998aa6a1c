"""A test's outcomes as a strip of a few SVG paths, instead of one cell each, so that thousands load fast."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.history.models import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.history.matrix_data import MatrixCell

__all__ = ["CODES", "NONE", "NOT_RUN", "outcome_letter", "outcome_letters", "sparkline"]

NOT_RUN = "."
CODES = {
    "p": "passed",
    "f": "failed",
    "e": "error",
    "k": "flaky",
    "s": "skipped",
    "x": "xfailed",
    "X": "xpassed",
}
"""A letter for each outcome; the page's script has the same table."""

_LETTERS = {
    AttemptOutcome.PASSED: "p",
    AttemptOutcome.FAILED: "f",
    AttemptOutcome.ERROR: "e",
    AttemptOutcome.SKIPPED: "s",
    AttemptOutcome.XFAILED: "x",
    AttemptOutcome.XPASSED: "X",
}
NONE = "-"
_NIGHT_WIDTH = 28
"""Maximum width of a night in pixels; many nights share the width of the page."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def outcome_letter(cell: MatrixCell) -> str:
    """Return the letter of a test's outcome in a run."""
    return "k" if cell.is_flaky else _LETTERS[AttemptOutcome(cell.outcome)]


def outcome_letters(cells: Mapping[int, MatrixCell], runs: int) -> str:
    """Return the letter of each run, `NOT_RUN` for a run without the test."""
    return "".join(outcome_letter(cells[run]) if run in cells else NOT_RUN for run in range(runs))


def board_digits(cells: Mapping[int, MatrixCell], runs: int, numbers: Mapping[int, int]) -> str:
    """Return a digit (base 36) for the board of each run; empty if no run had one."""
    digits = [numbers.get(cells[run].bench) if run in cells else None for run in range(runs)]
    if all(digit is None for digit in digits):
        return ""
    return "".join(NONE if digit is None or digit >= len(_DIGITS) else _DIGITS[digit] for digit in digits)


def sparkline(letters: str) -> Markup:
    """Return the strip: one path for each outcome, which the page's style divides into nights."""
    paths: dict[str, list[str]] = {}
    at = 0
    for letter, group in groupby(letters):
        length = sum(1 for _ in group)
        if letter != NOT_RUN:
            paths.setdefault(letter, []).append(f"M{at} 10h{length}")
        at += length
    drawn = "".join(f'<path class="o-{CODES[letter]}" d="{"".join(d)}"/>' for letter, d in paths.items())
    size = f'width="{_NIGHT_WIDTH * len(letters)}" viewBox="0 0 {len(letters)} 20"'
    return Markup(  # noqa: S704 - letters and numbers of ours
        f'<svg class="strip" {size} preserveAspectRatio="none" role="img" '
        f'aria-label="{tally(letters)}">{drawn}</svg>'
    )


def tally(letters: Iterable[str]) -> str:
    """Return the number of runs with each outcome, in words."""
    text = "".join(letters)
    counted = {name: text.count(letter) for letter, name in CODES.items()}
    return ", ".join(f"{number} {name}" for name, number in counted.items() if number) or "never run"
