"""Runs seeds on watched boards and says which laws they broke, with all that is needed to see it again."""

from __future__ import annotations

import pprint
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from tests.laws.laws import breaches
from tests.laws.shrinking import shrink
from tests.laws.suite_files import suite_sources
from tests.laws.suite_generator import generate
from tests.laws.suite_run import RunServer, run_suite
from tests.laws.watched_boards import WatchedBoards

if TYPE_CHECKING:
    from types import TracebackType

    from tests.laws.suite_plan import Suite
    from tests.laws.suite_run import Outcome


class LawCourt:
    """Boards and a server of runs, kept from one seed to the next; a `with` block ends them."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._boards = stack.enter_context(WatchedBoards())
            self._server = stack.enter_context(RunServer())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, suite: Suite) -> Outcome:
        """Run a suite."""
        return run_suite(suite, self._boards, self._server)

    def judge(self, seed: int) -> str:
        """Run a seed's suite; return what is wrong, or an empty text."""
        outcome = self.run(generate(seed))
        broken = breaches(outcome)
        return _told(seed, outcome, broken) if broken else ""

    def shrink(self, seed: int, limit_s: float) -> str:
        """Run a seed's suite, and smaller ones that break the same law; tell the smallest."""
        suite = generate(seed)
        outcome = self.run(suite)
        broken = breaches(outcome)
        if not broken:
            return ""
        law = broken[0].partition(":")[0]

        def still_breaks(smaller: Suite) -> bool:
            return any(line.startswith(law) for line in breaches(self.run(smaller)))

        smallest = shrink(suite, still_breaks, limit_s)
        outcome = self.run(smallest)
        return _told(seed, outcome, breaches(outcome) or broken)


def _told(seed: int, outcome: Outcome, broken: list[str]) -> str:
    """Tell the breaches, then the suite, its faults and what the run wrote."""
    suite = outcome.suite
    options = f"-n {suite.workers}, reruns {suite.reruns}, repeats {suite.repeats}, require {suite.require}"
    sources = [f"--- {name}\n{text}" for name, text in suite_sources(suite).items() if text]
    return "\n".join(
        [
            f"seed {seed} ({options}): python tests/laws/run.py {seed}",
            *(f"BROKEN {line}" for line in broken),
            *map(repr, suite.faults),
            *sources,
            "--- its output",
            outcome.results.text[-6000:],
            "--- as data",
            pprint.pformat(suite, width=110, compact=True),
        ]
    )
