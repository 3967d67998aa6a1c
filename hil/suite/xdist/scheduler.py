"""Carry xdist's events to the plan, and send workers what the plan decides; `planner` has the decisions.

An implementation of `xdist.scheduler.Scheduling` (a public protocol since xdist 3), made for xdist 3.8.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from xdist.report import report_collection_diff
from xdist.workermanage import parse_tx_spec_config

from hil.boards.requirements import KnownWords, matching_serials
from hil.suite.xdist.costs import Costs
from hil.suite.xdist.planner import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xdist.workermanage import WorkerController

    from hil.boards.requirements import BoardInfo, BoardRequirement
    from hil.suite.xdist.channel import ControllerChannel
    from hil.suite.xdist.costs import Durations

__all__ = ["HardwareScheduling"]


class HardwareScheduling:
    """A scheduler of tests by boards.

    Args:
        config: The controller's configuration.
        infos: Returns the boards of this run, for requirements of its tests and a number of workers;
            called once, and only if a test needs a board.
        return_to_lab: Called with the serial number of a remote board that no test is left for.
        channel: The connections to the workers.
        durations: How long tests took before.
    """

    def __init__(
        self,
        config: pytest.Config,
        infos: Callable[[Sequence[BoardRequirement], int], Sequence[BoardInfo]],
        return_to_lab: Callable[[str], None],
        channel: ControllerChannel,
        durations: Durations,
    ) -> None:
        self.config = config
        self._find_infos = infos
        self._return_to_lab = return_to_lab
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
        """All workers that are connected."""
        return list(self._nodes.values())

    @property
    def collection_is_completed(self) -> bool:
        """Whether all workers that the run started with have collected."""
        return self._plan is not None or len(self._collections) >= self._expected

    @property
    def tests_finished(self) -> bool:
        """Whether xdist may shut down all workers after their last tests."""
        return self.collection_is_completed and (self._plan is None or self._plan.finished)

    @property
    def has_pending(self) -> bool:
        """Whether a test has not ended."""
        return self._plan is not None and self._plan.has_pending

    def add_node(self, node: WorkerController) -> None:
        """Add a worker, which will collect."""
        self._nodes[node.gateway.id] = node

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Add what a worker has collected; a worker that started later must have collected the same tests."""
        worker = node.gateway.id
        if self._plan is None:
            self._collections[worker] = list(collection)
        elif not self._differs(worker, list(collection), "the others", self._tests):
            self._plan.join(worker)

    def schedule(self) -> None:
        """Send tests, now that all workers, or one more, have collected."""
        if self._plan is None:
            self._plan = self._make_plan()
        self._act()

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Note that a test has ended, or that its worker returned it without running it."""
        if self._plan is None:
            return
        worker = node.gateway.id
        if self._channel.take_returned(worker, self._tests[item_index]):
            self._plan.not_begun(worker, item_index, time.monotonic())
        else:
            self._plan.complete(worker, item_index, duration, time.monotonic())
        self._act()

    def mark_test_pending(self, item: str) -> None:
        """Note that a test is to run again."""
        if self._plan is not None:
            self._plan.again(self._tests.index(item))
            self._act()

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        """Note that a worker returned tests that were asked back."""
        if self._plan is not None:
            self._plan.returned(node.gateway.id, indices)
            self._act()

    def remove_node(self, node: WorkerController) -> str | None:
        """Remove a worker that has ended, and return the test that it was running, or None.

        Raises:
            KeyError: The worker was not added; xdist expects that.
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
        needs = [need for requirement in wanting for need in requirement.needs]
        together = max((len(requirement.needs) for requirement in wanting), default=1)
        infos = self._infos_for(needs, together) if wanting else ()
        self._ways = {info.serial: info.way for info in infos}
        self._leased = {serial for serial, way in self._ways.items() if way}
        partnered = {
            index: [matching_serials(need, infos) for need in requirement.needs]
            for index, requirement in enumerate(requirements)
            if requirement is not None and requirement.partners
        }
        wanted = [
            frozenset() if index in partnered else matching_serials(requirement, infos)
            for index, requirement in enumerate(requirements)
        ]
        hardware = {index for index, serials in enumerate(wanted) if serials or index in partnered}
        costs = Costs(self._durations.known_s(tests), hardware)
        images = {
            index: {info.serial: one.image_on(info) for info in infos}
            for index, one in enumerate(requirements)
            if one is not None and one.images
        }
        plan = Plan(wanted, [info.serial for info in infos], costs, partnered, images)
        for worker in self._collections:
            plan.join(worker)
        self._tests = tests
        return plan

    def _infos_for(self, requirements: Sequence[BoardRequirement], together: int) -> Sequence[BoardInfo]:
        began_s = time.monotonic()
        infos = self._find_infos(requirements, max(together, len(self._collections)))
        self._channel.tell_waited(time.monotonic() - began_s)
        self._channel.tell_words(KnownWords.of(infos))
        return infos

    def _differs(self, first: str, tests: Sequence[str], second: str, others: Sequence[str]) -> bool:
        """Return True if two workers collected different tests, and report that as a collection error."""
        message = report_collection_diff(tests, others, first, second)
        if message:
            report = pytest.CollectReport(nodeid=first, outcome="failed", longrepr=message, result=[])
            self.config.hook.pytest_collectreport(report=report)
        return bool(message)

    def _catch_up(self, plan: Plan) -> None:
        """Tell the plan what workers and xdist have reported since the last call."""
        for serial in self._channel.take_busy():
            plan.defer(serial)
        for serial in self._channel.take_lost():
            plan.lose(serial)
        for worker, node in self._nodes.items():
            if node.shutting_down:  # by xdist, in a run that stops early (-x): what is sent now never runs
                plan.end(worker, time.monotonic())

    def _act(self) -> None:
        """Do what the plan decides; xdist will report a worker that has just died."""
        if self._plan is None:
            return
        self._catch_up(self._plan)
        actions = self._plan.next_actions(time.monotonic())
        for worker, index, board in actions.boards:
            way = self._ways[board] if board is not None else ""
            partners = actions.partners.get(index, ())
            may_wait = any(map(self._plan.is_retried, (board, *partners)))
            self._channel.tell_board(
                worker, self._tests[index], board, way, may_wait=may_wait, partners=self._ways_of(partners)
            )
        for worker, index in actions.last:
            self._channel.tell_last(worker, self._tests[index])
        for worker, indices in actions.ask_back:
            with contextlib.suppress(OSError):
                self._nodes[worker].send_steal(list(indices))
        for worker, tests in actions.send.items():
            with contextlib.suppress(OSError):
                self._nodes[worker].send_runtest_some(tests)
        for worker in actions.close:
            self._nodes[worker].shutdown()
        self._end_leases(self._plan)

    def _ways_of(self, boards: Iterable[str]) -> dict[str, str]:
        """Return how a worker connects to each of these boards."""
        return {board: self._ways[board] for board in boards}

    def _end_leases(self, plan: Plan) -> None:
        """Give back remote boards that no test is left for."""
        for serial in sorted(self._leased):
            if not plan.needs(serial):
                self._leased.remove(serial)
                plan.lose(serial)
                self._return_to_lab(serial)
