"""Runs seeds of the property test of whole suites: `run.py 17`, `run.py 1..200`, `run.py --shrink 17`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.laws.law_court import LawCourt
from tests.support.harness import say


def main() -> int:
    """Run what was asked for; return 1 if a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="+", help="a number, or FIRST..LAST")
    parser.add_argument(
        "--shrink", action="store_true", help="look for the smallest suite that breaks the law"
    )
    parser.add_argument("--briefly", action="store_true", help="tell the breaches only")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for shrinking a seed")
    asked = parser.parse_args()
    broken = 0
    with LawCourt() as court:
        for seed in [seed for text in asked.seeds for seed in _seeds(text)]:
            began = time.monotonic()
            told = court.shrink(seed, asked.limit) if asked.shrink else court.judge(seed)
            broken += bool(told)
            lines = told.splitlines()
            brief = [f"  {line[:600]}" for line in lines if line.startswith("BROKEN")]
            verdict = f"seed {seed}: {'BROKEN' if told else 'ok'}, {time.monotonic() - began:.1f} s"
            say("\n".join([verdict, *(brief if asked.briefly else lines)]))
    return int(broken > 0)


def _seeds(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main())
