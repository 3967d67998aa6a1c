"""Random suites hold the laws of `laws.py`: each runs for real, on two simulated boards.

`python tests/laws/run.py SEED` runs one seed again; with `--shrink` it looks for a smaller suite that breaks
the same law.
"""

from __future__ import annotations

from law_court import LawCourt

QUICK = (101, 105, 110, 112, 115, 118, 119)
"""Seeds for the default run: together they have each kind of fixture and most faults, and cost least."""


def test_laws_hold_for_a_few_random_suites() -> None:
    with LawCourt() as court:
        told = [text for seed in QUICK if (text := court.judge(seed))]

    assert not told, "\n\n".join(told)
