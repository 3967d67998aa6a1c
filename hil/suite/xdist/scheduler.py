"""The plan put into effect: xdist asks and reports here, workers are sent what the plan orders.

An implementation of `xdist.scheduler.Scheduling` (a public protocol since xdist 3), made for xdist 3.8.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from xdist.report import report_collection_diff
from xdist.workermanage import parse_tx_spec_config

from hil.boards.misspelling import KnownWords
from hil.boards.requirements import matching_serials
from hil.suite.xdist.costs import Costs
from hil.suite.xdist.planner import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xdist.workermanage import WorkerController

    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.suite.xdist.channel import ControllerChannel
    from hil.suite.xdist.costs import Durations

__all__ = ["HardwareScheduling"]


class HardwareScheduling:
    """Schedules by boards.

    Args:
        config: The controller's.
        infos: Returns the boards of this run, for requirements of its tests and a number of workers;
            called once, and only if a test needs a board.
        give_back: Given a board of another machine, by its serial number, that no test is left for.
        channel: What workers say and are told besides xdist.
        durations: What tests took before.
    """

    def __init__(
        self,
        config: pytest.Config,
        infos: Callable[[Sequence[BoardRequirement], int], Sequence[BoardInfo]],
        give_back: Callable[[str], None],
        channel: ControllerChannel,
        durations: Durations,
    ) -> None:
        self.config = config
        self._find_infos = infos
        self._give_back = give_back
        self._channel = channel
        self._durations = durations
        self._expected = len(parse_tx_spec_config(config))
        self._nodes: dict[str, WorkerController] = {}
        self._collections: dict[str, list[str]] = {}
        self._tests: list[str] = []
        self._plan: Plan | None = None
        self._ways: dict[str, str] = {}
        self._leased: set[str] = set()

    @property
    def nodes(self) -> list[WorkerController]:
        """All workers that are up."""
        return list(self._nodes.values())

    @property
    def collection_is_completed(self) -> bool:
        """Whether all workers that the run began with have collected."""
        return self._plan is not None or len(self._collections) >= self._expected

    @property
    def tests_finished(self) -> bool:
        """Whether xdist may tell all workers that nothing follows."""
        return self.collection_is_completed and (self._plan is None or self._plan.finished)

    @property
    def has_pending(self) -> bool:
        """Whether tests are left."""
        return self._plan is not None and self._plan.has_pending

    def add_node(self, node: WorkerController) -> None:
        """A worker is up and will collect."""
        self._nodes[node.gateway.id] = node

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """A worker has collected; one that came later must have found what the others did."""
        worker = node.gateway.id
        if self._plan is None:
            self._collections[worker] = list(collection)
        elif not self._differs(worker, list(collection), "the others", self._tests):
            self._plan.join(worker)

    def schedule(self) -> None:
        """Give out tests, now that all (or one more) have collected."""
        if self._plan is None:
            self._plan = self._make_plan()
        self._act()

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """A test has ended, or its worker is past it and has not begun it."""
        if self._plan is None:
            return
        worker = node.gateway.id
        if self._channel.take_returned(worker, self._tests[item_index]):
            self._plan.not_begun(worker, item_index, time.monotonic())
        else:
            self._plan.complete(worker, item_index, duration, time.monotonic())
        self._act()

    def mark_test_pending(self, item: str) -> None:
        """A test is to be run again."""
        if self._plan is not None:
            self._plan.again(self._tests.index(item))
            self._act()

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        """A worker gave tests back."""
        if self._plan is not None:
            self._plan.returned(node.gateway.id, indices)
            self._act()

    def remove_node(self, node: WorkerController) -> str | None:
        """A worker is gone; returns the test it was running.

        Raises:
            KeyError: It wasn't up; xdist expects that.
        """
        worker = node.gateway.id
        del self._nodes[worker]
        if self._plan is None:
            if mistakes := self._channel.mistakes():
                raise pytest.UsageError(mistakes[0])
            self._collections.pop(worker, None)
            return None
        crashed = self._plan.leave(worker)
        self._act()
        return None if crashed is None else self._tests[crashed]

    def _make_plan(self) -> Plan | None:
        (first, tests), *others = self._collections.items()
        if any([self._differs(first, tests, worker, found) for worker, found in others]):  # report all  # noqa: C419
            return None
        requirements = self._channel.requirements(first) or [None] * len(tests)
        wanting = [requirement for requirement in requirements if requirement is not None]
        infos = self._infos_for(wanting) if wanting else ()
        self._ways = {info.serial: info.way for info in infos}
        self._leased = {serial for serial, way in self._ways.items() if way}
        wanted = [matching_serials(requirement, infos) for requirement in requirements]
        hardware = {index for index, serials in enumerate(wanted) if serials}
        costs = Costs(self._durations.known_s(tests), hardware)
        plan = Plan(wanted, [info.serial for info in infos], costs)
        for worker in self._collections:
            plan.join(worker)
        self._tests = tests
        return plan

    def _infos_for(self, requirements: Sequence[BoardRequirement]) -> Sequence[BoardInfo]:
        began_s = time.monotonic()
        infos = self._find_infos(requirements, len(self._collections))
        self._channel.tell_waited(time.monotonic() - began_s)
        self._channel.tell_words(KnownWords.of(infos))
        return infos

    def _differs(self, first: str, tests: Sequence[str], second: str, others: Sequence[str]) -> bool:
        """Whether two workers collected different tests, which is reported as an error of the collection."""
        message = report_collection_diff(tests, others, first, second)
        if message:
            report = pytest.CollectReport(nodeid=first, outcome="failed", longrepr=message, result=[])
            self.config.hook.pytest_collectreport(report=report)
        return bool(message)

    def _catch_up(self, plan: Plan) -> None:
        """Tell the plan what happened elsewhere."""
        for serial in self._channel.take_busy():
            plan.defer(serial)
        for serial in self._channel.take_lost():
            plan.lose(serial)
        for worker, node in self._nodes.items():
            if node.shutting_down:  # by xdist, where a run stops early (-x): what is sent now never runs
                plan.end(worker, time.monotonic())

    def _act(self) -> None:
        """Send what the plan orders; a worker that has just died is reported dead by xdist soon."""
        if self._plan is None:
            return
        self._catch_up(self._plan)
        orders = self._plan.orders(time.monotonic())
        for worker, index, board in orders.boards:
            way = self._ways[board] if board is not None else ""
            self._channel.tell_board(
                worker, self._tests[index], board, way, patient=self._plan.is_retried(board)
            )
        for worker, index in orders.last:
            self._channel.tell_last(worker, self._tests[index])
        for worker, indices in orders.ask_back:
            with contextlib.suppress(OSError):
                self._nodes[worker].send_steal(list(indices))
        for worker, tests in orders.send.items():
            with contextlib.suppress(OSError):
                self._nodes[worker].send_runtest_some(tests)
        for worker in orders.close:
            self._nodes[worker].shutdown()
        self._end_leases(self._plan)

    def _end_leases(self, plan: Plan) -> None:
        """Let other users of a lab have the boards that no test is left for."""
        for serial in sorted(self._leased):
            if not plan.needs(serial):
                self._leased.remove(serial)
                plan.lose(serial)
                self._give_back(serial)
