from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

import pytest

from hil.nightly.run_folder import LATE, explain_status
from hil.suite.outcome.exit_status import RunStatus, Status
from hil.suite.outcome.ledger import Ledger


def test_statuses_of_hil_are_no_statuses_of_pytest() -> None:
    ours = {int(Status.BENCH_NOT_READY), int(Status.FLAKY), LATE}

    assert ours.isdisjoint(int(status) for status in pytest.ExitCode)
    assert len(ours) == 3


def test_explain_status_knows_too_many_warnings() -> None:
    assert "--max-warnings" in explain_status(6)


def test_count_boards_takes_no_line_about_all_boards_for_a_board() -> None:
    status = RunStatus(Ledger(), lambda: {"": "its boards are SIMULATED"}, required=False)
    end = status.pytest_sessionfinish(SimpleNamespace(exitstatus=0))  # type: ignore[arg-type]
    next(end)
    with suppress(StopIteration):
        end.send(None)

    assert status.count_boards(2) == 2
