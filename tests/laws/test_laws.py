"""Random suites hold the laws of `laws.py`: each runs for real, on two simulated boards.

`python tests/laws/run.py SEED` runs one seed again; with `--shrink` it looks for a smaller suite that breaks
the same law.
"""

from __future__ import annotations

import pytest

from tests.laws.law_court import LawCourt

QUICK = (112, 412, 416, 422, 436, 457)
"""Seeds for the default run: cheap ones that together have each fault and each kind of fixture and test."""

SEEDS = 1000
AT_ONCE = 25


def test_laws_hold_for_a_few_random_suites() -> None:
    with LawCourt() as court:
        told = [text for seed in QUICK if (text := court.judge(seed))]

    assert not told, "\n\n".join(told)


@pytest.mark.thorough
@pytest.mark.seeds
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_laws_hold_for_random_suites(first: int) -> None:
    with LawCourt() as court:
        told = [text for seed in range(first, first + AT_ONCE) if (text := court.judge(seed))]

    assert not told, "\n\n".join(told)
