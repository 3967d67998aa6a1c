"""Lines of the summary."""

from __future__ import annotations

import pytest

from hil.suite.markers import Kind
from hil.suite.outcome.ledger import Ledger, LedgerEntry
from hil.suite.outcome.ledger_report import error_lines

pytestmark = pytest.mark.no_hardware


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (0, []),
        (1, ["1 failed in set-up or tear-down: pytest counts it as an error"]),
        (2, ["2 failed in set-up or tear-down: pytest counts them as errors"]),
    ],
)
def test_error_lines_say_why_pytest_counts_fewer_failed_tests(errors: int, said: list[str]) -> None:
    ledger = Ledger(records={"failed": LedgerEntry(Kind.HARDWARE, ran=True, failed=True)})
    for number in range(errors):
        ledger.records[f"test_{number}"] = LedgerEntry(Kind.HARDWARE, failed=True, error=True)

    assert error_lines(ledger) == said
