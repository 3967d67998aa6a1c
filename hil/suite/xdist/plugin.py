"""A pytest plugin that schedules tests on few boards over many xdist workers.

It schedules if `-n` is given and `--dist` is not. With `--dist`, xdist schedules, and the plugin only
connects controller and workers; every worker then acquires a board for itself, and leases keep them apart.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from hil.suite.xdist.costs import Durations

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from xdist.scheduler import Scheduling
    from xdist.workermanage import WorkerController

    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.suite.columns.listed_boards import ListedBoard
    from hil.suite.xdist.channel import ControllerChannel
    from hil.suite.xdist.costs import Measured
    from hil.suite.xdist.worker_channel import WorkerChannel

__all__ = ["BoardScheduling", "SchedulingSuite", "worker_channel"]

INPUT = "hil_run_channel"
"""The key in xdist's workerinput."""

_CHANNEL = pytest.StashKey["WorkerChannel"]()


class SchedulingSuite(Protocol):
    """What scheduling needs from the suite."""

    def boards(
        self, config: pytest.Config, requirements: Sequence[BoardRequirement] = (), workers: int = 0
    ) -> Sequence[BoardInfo]:
        """Return the boards of this run; called in the controller, first when no test is known yet.

        Args:
            config: The controller's configuration.
            requirements: The requirement of each test that uses a board; empty if they are not known yet.
            workers: How many boards can be used at a time.
        """
        ...

    def listed_boards(self, config: pytest.Config) -> Sequence[ListedBoard]:
        """Return the boards for tests that run on each; called in the controller, in a thread."""
        ...

    def return_to_lab(self, config: pytest.Config, serial: str) -> None:
        """Give back a remote board that no test is left for; called in the controller."""
        ...

    def take_over(self, config: pytest.Config, collected: dict[str, Any]) -> None:
        """Add what a worker knew after its collection to the run's ledger; called in the controller."""
        ...

    def requirement(self, item: pytest.Item) -> BoardRequirement | None:
        """Return which boards a collected test can use, or None if it uses none."""
        ...

    def controller_gone(self, config: pytest.Config) -> None:
        """End this worker, because its controller has died; called in a thread."""
        ...


def worker_channel(config: pytest.Config) -> WorkerChannel | None:
    """Return the connection to the controller; None if this is no worker on the controller's host."""
    return config.stash.get(_CHANNEL, None)


class BoardScheduling:
    """Schedules tests by board. Register it in `pytest_addoption` of a root conftest: `-n auto` asks it.

    Args:
        suite: Knows the boards and the tests.
        measured: Returns how long tests took, from a history.
    """

    def __init__(self, suite: SchedulingSuite, measured: Measured = lambda _config: {}) -> None:
        self._measured = measured
        self._suite = suite
        self._schedules = True
        self._channel: ControllerChannel | None = None
        self._durations: Durations | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, Any, Any]:
        """Read `--dist` before xdist sets it because of `-n`."""
        chosen = getattr(config.option, "dist", "no") != "no" or getattr(config.option, "distload", False)
        self._schedules = not chosen
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_auto_num_workers(self, config: pytest.Config) -> int | None:
        """Return the number for `-n auto`: a worker for each core, and for each board, which mostly waits."""
        if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or config.option.numprocesses == "logical":
            return None
        return len(self._suite.boards(config)) + len(os.sched_getaffinity(0))

    def pytest_configure(self, config: pytest.Config) -> None:
        """Connect a worker; elsewhere load the durations of tests."""
        if not hasattr(config, "workerinput"):
            self._durations = Durations(config, self._measured)
            if self._durations.remembers:
                config.pluginmanager.register(self._durations, "hil-durations")
        elif INPUT in config.workerinput:
            self._connect(config, **config.workerinput[INPUT])

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """Tell a worker on this host, before it starts, where to connect."""
        from hil.suite.xdist.channel import ControllerChannel  # noqa: PLC0415  # only with xdist

        if node.gateway.spec.popen:
            list_boards = partial(self._suite.listed_boards, node.config)
            self._channel = self._channel or ControllerChannel(list_boards)
            node.workerinput[INPUT] = {"path": str(self._channel.path), "schedules": self._schedules}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> Scheduling | None:
        """Schedule by boards, unless `--dist` was given."""
        if not self._schedules or self._channel is None or self._durations is None:
            return None
        from hil.suite.xdist.scheduler import HardwareScheduling  # noqa: PLC0415  # only with xdist

        def infos(requirements: Sequence[BoardRequirement], workers: int) -> Sequence[BoardInfo]:
            return self._suite.boards(config, requirements, workers)

        return_to_lab = partial(self._suite.return_to_lab, config)
        return HardwareScheduling(config, infos, return_to_lab, self._channel, self._durations)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """In a worker: send the controller what pytest refuses in the arguments; xdist does not."""
        try:
            return (yield)
        except pytest.UsageError as error:
            channel = worker_channel(session.config)
            if channel is not None:
                channel.send_mistake("\n".join(map(str, error.args)))
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """In a worker: send the requirements of tests, before xdist sends what was collected."""
        channel = worker_channel(session.config)
        if channel is not None and channel.schedules:
            channel.send_requirements([self._suite.requirement(item) for item in session.items])

    @pytest.hookimpl(tryfirst=True)  # before the terminal formats a traceback
    def pytest_keyboard_interrupt(self) -> None:
        """In the controller: interrupt the workers, too, which a CI runner's SIGINT did not reach."""
        if self._channel is not None:
            self._channel.tell_interrupted()

    @pytest.hookimpl(wrapper=True)  # before the ledger is written anywhere
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Add what the workers had collected, also those that were killed; remember the durations."""
        for collected in self._channel.take_collected() if self._channel is not None else ():
            self._suite.take_over(session.config, collected)
        if self._durations is not None:
            self._durations.save()
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Close the connections, after all fixtures are torn down."""
        for channel in (worker_channel(config), self._channel):
            if channel is not None:
                channel.close()

    def _connect(self, config: pytest.Config, path: str, schedules: bool) -> None:
        from hil.suite.xdist.interrupt import Interruption  # noqa: PLC0415  # only with xdist
        from hil.suite.xdist.worker_channel import WorkerChannel  # noqa: PLC0415  # only with xdist

        worker: str = config.workerinput["workerid"]  # type: ignore[attr-defined]  # xdist puts it there

        def gone() -> None:
            self._suite.controller_gone(config)

        try:
            config.stash[_CHANNEL] = WorkerChannel(
                path, worker, gone, schedules=schedules, interrupted=Interruption().pass_on
            )
        except OSError:  # it died while this worker started
            gone()
