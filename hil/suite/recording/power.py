"""Keep a power trace of every test that uses a board, with `--hil-report`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.power.plot import to_svg
from hil.dutlink.usb.request_log import uncounted
from hil.evidence.records import file_stem
from hil.lab.files.atomic_file import write_below
from hil.suite.hook_errors import contained, told
from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.attempts import attempts_of
from hil.suite.outcome.user_properties import describe_power
from hil.suite.recording.evidence_names import evidence_names

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from hil.dutlink.power.trace import PowerTrace
    from hil.suite.boards.lifecycle import BoardLifecycle

__all__ = ["PowerEvidence"]


class PowerEvidence:
    """Traces the power from a test's set-up to its tear-down.

    Args:
        boards: This process's board.
        folder: The folder of the run's evidence; traces are in its folder `power`.
        not_kept: Takes traces that cannot be kept; a full disk fails no test.
    """

    def __init__(self, boards: BoardLifecycle, folder: Path, not_kept: list[str]) -> None:
        self._not_kept = not_kept
        self._boards = boards
        self._folder = folder
        self._traces: list[PowerTrace] = []

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside the wrapper that acquires the board
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool | None, bool | None]:
        """Trace the power during a test."""
        boards = [] if kind_of(item) is Kind.NO_HARDWARE else self._boards.usable_boards()
        if not boards:
            return (yield)
        stack = ExitStack()
        with contained(partial(self._note_not_kept, item)), uncounted():  # these are no requests of the test
            for board in boards:
                self._traces.append(stack.enter_context(board.power.trace(exact_energy=False)))
        try:
            return (yield)
        finally:
            traces, self._traces = self._traces, []
            with contained(partial(self._note_not_kept, item)):
                stack.close()
                for trace, board, name in zip(traces, boards, evidence_names(item), strict=False):
                    self._keep(trace, item, board.serial, name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Put the mean power until now into the last report of a test."""
        with contained(partial(self._note_not_kept, item)):
            if call.when == "teardown" and self._traces and self._traces[0].samples:
                describe_power(item, self._traces[0].mean_watts, self._traces[0].mean_watts_on)

    def _note_not_kept(self, item: pytest.Item, error: BaseException) -> None:
        self._not_kept.append(f"the power trace of {item.nodeid} cannot be kept: {told(error)}")

    def _keep(self, trace: PowerTrace, item: pytest.Item, serial: str, name: str) -> None:
        """Write the trace; the last attempt of a repeated test gets the name without a number."""
        attempts = attempts_of(item)
        stem = file_stem(name) + (f"-attempt-{attempts.number}" if attempts.again else "")
        data = {"test": item.nodeid, "board": serial, **trace.to_data()}
        self._folder.mkdir(parents=True, exist_ok=True)
        write_below(self._folder, f"power/{stem}.json", json.dumps(data), mode=None)
        write_below(self._folder, f"power/{stem}.svg", to_svg(trace), mode=None)
