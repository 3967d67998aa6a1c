"""Say which attempt of a test printed what: pytest shows what all attempts printed under the same titles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite.outcome.attempts import LABEL
from hil.suite.outcome.reruns import attempts_of

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["AttemptLabels"]

_CAPTURED = "Captured "
_PRINTED_BY = pytest.StashKey[list[int]]()
"""The attempt that printed each captured section of a test, in their order."""


class AttemptLabels:
    """The plugin, for repetitions of hil (`--hil-repeat`) and of pytest-rerunfailures."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the attempt's number into the titles, from the second attempt on."""
        report = yield
        number = max(attempts_of(item).number, getattr(item, "execution_count", 1))
        printed_by = item.stash.setdefault(_PRINTED_BY, [])
        captured = [index for index, (title, _) in enumerate(report.sections) if title.startswith(_CAPTURED)]
        printed_by.extend([number] * (len(captured) - len(printed_by)))
        if number > 1:
            for index, attempt in zip(captured, printed_by, strict=False):
                title, text = report.sections[index]
                report.sections[index] = f"{title}{LABEL}{attempt}", text
        return report
