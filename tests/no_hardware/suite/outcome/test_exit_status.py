from __future__ import annotations

import pytest

from hil.nightly.run_folder import LATE, explain_status
from hil.suite.outcome.exit_status import Status


def test_statuses_of_hil_are_no_statuses_of_pytest() -> None:
    ours = {int(Status.BENCH_NOT_READY), int(Status.FLAKY), LATE}

    assert ours.isdisjoint(int(status) for status in pytest.ExitCode)
    assert len(ours) == 3


def test_explain_status_knows_too_many_warnings() -> None:
    assert "--max-warnings" in explain_status(6)
