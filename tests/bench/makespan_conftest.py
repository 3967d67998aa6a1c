"""The conftest.py of the folder that `bench_makespan.py` runs: boards are lock files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from hil.boards.requirements import BoardInfo, BoardRequirement
from hil.suite.xdist.plugin import BoardScheduling, worker_channel

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from hil.suite.columns.listed_boards import ListedBoard

FOLDER = Path(__file__).parent
SERIALS = [f"board{number}" for number in range(int(os.environ["BENCH_BOARDS"]))]
POLL_S = 0.005


class _Suite:
    def boards(
        self,
        config: pytest.Config,  # noqa: ARG002  # the protocol's
        requirements: Sequence[BoardRequirement] = (),  # noqa: ARG002  # the protocol's
        workers: int = 0,  # noqa: ARG002  # the protocol's
    ) -> list[BoardInfo]:
        return [BoardInfo(serial) for serial in SERIALS]

    def take_over(self, config: pytest.Config, collected: dict[str, Any]) -> None:
        raise NotImplementedError  # workers of the whole suite call it

    def listed_boards(self, config: pytest.Config) -> list[ListedBoard]:  # noqa: ARG002  # the protocol's
        return []

    def requirement(self, item: pytest.Function) -> BoardRequirement | None:
        board = _board_of(item)
        return board if board is None else BoardRequirement(among=frozenset(filter(None, [board])))

    def return_to_lab(self, config: pytest.Config, serial: str) -> None:
        """Do nothing: the boards are this machine's."""

    def controller_gone(self, config: pytest.Config) -> None:  # noqa: ARG002  # the protocol's
        os._exit(3)


def _board_of(item: pytest.Function) -> str | None:
    """The board that a test names; empty: any board; None: it uses none."""
    if "board" not in item.fixturenames:
        return None
    mark = item.get_closest_marker("on")
    return str(mark.args[0]) if mark else ""


class _Held:
    """The board of this worker."""

    file: IO[str] | None = None

    def take(self, serial: str) -> bool:
        file = (FOLDER / serial).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self.file = file
        return True

    def give_back(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


HELD = _Held()


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.register(BoardScheduling(_Suite()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Function) -> Generator[None, Any, Any]:
    begin = time.monotonic()
    channel = worker_channel(item.config)
    serial = channel.board(item.nodeid) if channel and channel.schedules else None
    while serial and HELD.file is None and not HELD.take(serial):
        time.sleep(POLL_S)
    result = yield
    if channel and channel.is_last_hardware(item.nodeid):
        HELD.give_back()
    with FOLDER.joinpath("times").open("a") as times:
        times.write(json.dumps([begin, time.monotonic(), _board_of(item)]) + "\n")
    return result


@pytest.fixture(scope="session")
def board() -> Generator[None]:
    """Practice: whichever board is free, kept to the end of the session; it can be the wrong one."""
    while HELD.file is None and not any(map(HELD.take, SERIALS)):
        time.sleep(POLL_S)
    yield
    with contextlib.suppress(OSError):
        HELD.give_back()
