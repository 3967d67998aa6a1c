"""Makes a suite that breaks a law smaller, as long as it breaks the same law."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.laws.suite_plan import NEVER, Fault, Suite, Test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def shrink(suite: Suite, still_breaks: Callable[[Suite], bool], limit_s: float) -> Suite:
    """Return the smallest suite that was found within the limit.

    Args:
        suite: One that breaks a law.
        still_breaks: Runs a suite and returns True if it breaks the same law.
        limit_s: For all of it.
    """
    deadline = time.monotonic() + limit_s
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(suite):
            if time.monotonic() > deadline:
                return suite
            if still_breaks(candidate):
                suite, smaller = candidate, True
                break
    return suite


def _smaller(suite: Suite) -> Iterator[Suite]:
    """Yield suites with less in them: fewer tests first, then fewer faults, options, steps."""
    half = len(suite.tests) // 2
    if half:
        yield replace(suite, tests=suite.tests[half:])
        yield replace(suite, tests=suite.tests[:half])
    for test in suite.tests:
        yield replace(suite, tests=tuple(other for other in suite.tests if other is not test))
    for fault in suite.faults:
        yield replace(suite, faults=tuple(other for other in suite.faults if other is not fault))
    yield from _plainer_options(suite)
    yield from _fewer_fixtures(suite)
    yield from _fewer_steps(suite)
    yield from (_with_fault(suite, at, replace(fault, lasts_s=NEVER)) for at, fault in _passing(suite))


def _plainer_options(suite: Suite) -> Iterator[Suite]:
    for options in ({"workers": 0}, {"reruns": 0}, {"repeats": 0}, {"require": False}):
        if any(getattr(suite, name) for name in options):
            yield replace(suite, **options)  # type: ignore[arg-type]  # each has the field's type


def _fewer_fixtures(suite: Suite) -> Iterator[Suite]:
    used = {name for test in suite.tests for name in test.uses}
    used |= {fixture.rests_on for fixture in suite.fixtures}
    for fixture in suite.fixtures:
        if fixture.name not in used or fixture.name == "dutlink":
            yield replace(suite, fixtures=tuple(other for other in suite.fixtures if other is not fixture))
    for at, test in enumerate(suite.tests):
        if len(test.uses) > 1:
            yield _with_test(suite, at, replace(test, uses=test.uses[:1]))


def _fewer_steps(suite: Suite) -> Iterator[Suite]:
    for at, test in enumerate(suite.tests):
        for number in range(len(test.steps)):
            yield _with_test(suite, at, replace(test, steps=test.steps[:number] + test.steps[number + 1 :]))
        if test.params or test.tags:
            yield _with_test(suite, at, replace(test, params=0, tags=""))


def _passing(suite: Suite) -> Iterator[tuple[int, Fault]]:
    return ((at, fault) for at, fault in enumerate(suite.faults) if fault.lasts_s < 1)


def _with_test(suite: Suite, at: int, test: Test) -> Suite:
    tests = list(suite.tests)
    tests[at] = test
    return replace(suite, tests=tuple(tests))


def _with_fault(suite: Suite, at: int, fault: Fault) -> Suite:
    faults = list(suite.faults)
    faults[at] = fault
    return replace(suite, faults=tuple(faults))
