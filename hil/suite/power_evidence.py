"""A power trace of every test that uses a board, where `--hil-report` asks for evidence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import pytest

from hil.evidence.file_names import file_stem
from hil.suite.selection import KIND, Kind

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.dutlink.power_trace import PowerTrace

__all__ = ["BoardHolder", "PowerEvidence"]


class BoardHolder(Protocol):
    """Who holds this process's board."""

    def held_board(self) -> Board | None:
        """Return the board that is held and was not lost."""
        ...


class PowerEvidence:
    """The plugin: traces from a test's set-up to its tear-down, and keeps the trace when that is over.

    Args:
        boards: Who holds the board.
        folder: Where to keep the traces; it is made when the first one is.
        trouble: Takes what went wrong; a full disk fails no test.
    """

    def __init__(self, boards: BoardHolder, folder: Path, trouble: list[str]) -> None:
        self._trouble = trouble
        self._boards = boards
        self._folder = folder

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside of the wrapper that gets the board
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool | None, bool | None]:
        """Trace one test."""
        board = None if item.stash[KIND] is Kind.NO_HARDWARE else self._boards.held_board()
        if board is None:
            return (yield)
        with board.power.trace() as trace:
            result = yield
        try:
            self._keep(trace, item.nodeid, board.serial)
        except OSError as error:
            self._trouble.append(f"the power trace of {item.nodeid} cannot be kept: {error}")
        return result

    def _keep(self, trace: PowerTrace, test: str, serial: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = file_stem(test)
        data = {"test": test, "board": serial, **trace.to_data()}
        (self._folder / f"{stem}.json").write_text(json.dumps(data), encoding="utf-8")
        trace.plot(self._folder / f"{stem}.svg")
