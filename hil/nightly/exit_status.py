"""The exit status of a night in words."""

from __future__ import annotations

from hil.suite.outcome.exit_status import Status

__all__ = ["LATE", "explain_status", "mark_simulated"]

LATE = 8
"""Exit status of `hil nightly status` if a night was due and did not run."""

_MEANINGS = {
    Status.GREEN: "green: every test passed at its first attempt",
    Status.TESTS_FAILED: "red: tests failed",
    2: "red: interrupted, ended before its summary, or tests could not be collected",
    3: "red: an error inside of pytest",
    4: "red: pytest did not start: a wrong option, conftest.py or lab file",
    Status.NOTHING_RAN: "red: nothing ran on a board",
    Status.BENCH_NOT_READY: "red: the bench was not ready: boards that could not be used or took no part",
    Status.FLAKY: "flaky: tests passed only when they were repeated",
}

_FIRST_OF_SIGNALS = 128


def explain_status(status: int) -> str:
    """Return the meaning of an exit status."""
    if status > _FIRST_OF_SIGNALS:
        return f"red: pytest was killed by signal {status - _FIRST_OF_SIGNALS}"
    return _MEANINGS.get(status, f"red: pytest ended with status {status}")


def mark_simulated(meaning: str) -> str:
    """Return the meaning with a prefix that says that the boards were simulated."""
    return f"SIMULATED boards, {meaning}"
