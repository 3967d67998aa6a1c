"""A power trace of every test that uses a board, where `--hil-report` asks for evidence."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.usb.request_count import uncounted
from hil.evidence.file_names import file_stem
from hil.suite.hook_errors import contained, told
from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.reruns import attempts_of
from hil.suite.outcome.user_properties import describe_power

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from hil.dutlink.power.trace import PowerTrace
    from hil.suite.boards.plugin import BoardPlugin

__all__ = ["PowerEvidence"]


class PowerEvidence:
    """The plugin: traces from a test's set-up to its tear-down, and keeps the trace when that is over.

    Args:
        boards: Who holds the board.
        folder: Where to keep the traces; it is made when the first one is.
        trouble: Takes what went wrong; a full disk fails no test.
    """

    def __init__(self, boards: BoardPlugin, folder: Path, trouble: list[str]) -> None:
        self._trouble = trouble
        self._boards = boards
        self._folder = folder
        self._trace: PowerTrace | None = None

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside of the wrapper that gets the board
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool | None, bool | None]:
        """Trace one test."""
        board = None if kind_of(item) is Kind.NO_HARDWARE else self._boards.held_board()
        if board is None:
            return (yield)
        stack = ExitStack()
        with contained(partial(self._not_kept, item)), uncounted():  # it is not the test that asks
            self._trace = stack.enter_context(board.power.trace(exact_energy=False))
        try:
            return (yield)
        finally:
            trace, self._trace = self._trace, None
            with contained(partial(self._not_kept, item)):
                stack.close()
                if trace is not None:
                    self._keep(trace, item, board.serial)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Let the last report of a test say what the DUT drew until then."""
        with contained(partial(self._not_kept, item)):
            if call.when == "teardown" and self._trace is not None and self._trace.samples:
                describe_power(item, self._trace.mean_watts, self._trace.mean_watts_on)

    def _not_kept(self, item: pytest.Item, error: BaseException) -> None:
        self._trouble.append(f"the power trace of {item.nodeid} cannot be kept: {told(error)}")

    def _keep(self, trace: PowerTrace, item: pytest.Item, serial: str) -> None:
        """Write the trace; of a test that is repeated, the last attempt has the plain name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        attempts = attempts_of(item)
        stem = file_stem(item.nodeid) + (f"-attempt-{attempts.number}" if attempts.again else "")
        data = {"test": item.nodeid, "board": serial, **trace.to_data()}
        (self._folder / f"{stem}.json").write_text(json.dumps(data), encoding="utf-8")
        trace.plot(self._folder / f"{stem}.svg")
