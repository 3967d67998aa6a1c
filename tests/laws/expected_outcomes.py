"""Which outcome a test of a random suite was written to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.laws.suite_plan import Suite, Test

_BARE = frozenset({"dutlink", "power", "storage", "console", "pins"})


def expected_outcome(test: Test, suite: Suite) -> tuple[str, ...]:
    """Return the outcomes that will do if nothing happens to any board; none: it cannot be told."""
    if test.mistake:
        return ("error", "failed")
    again = suite.reruns or suite.repeats
    if again and any({"raise", "hang"}.intersection(fixture.teardown) for fixture in suite.fixtures):
        return ()
    if any(step in ("fail", "typo") or step.startswith("usb:") for step in test.steps):
        return ("failed",)
    if "fail_once" in test.steps:
        return ("passed",) if suite.reruns else ("flaky",) if suite.repeats else ("failed",)
    if test.uses and not test.steps and suite.require and not test.observes_only:
        own = any(fixture.name == "dutlink" for fixture in suite.fixtures)
        return ("failed", "error") if _BARE.issuperset(test.uses) and not own else ()
    return ("passed",)
