"""A run of xdist workers in simulated time, by the rules of xdist 3.8 (`xdist/remote.py`).

A worker begins a test when it knows the next one or that none follows; it gives back what it is asked for,
all or nothing, and never the test that runs or the one it knows to follow.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.suite.xdist.costs import Costs
from hil.suite.xdist.planner import Actions, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LATENCY_S = 0.002
RESTART_S = 1.0
CLOSE = -1


@dataclass
class SimulatedWorker:
    name: str
    queue: deque[int] = field(default_factory=deque)
    running: int | None = None
    following: int | None = None
    boards: dict[int, str | None] = field(default_factory=dict)
    last: set[int] = field(default_factory=set)
    partners: dict[int, tuple[str, ...]] = field(default_factory=dict)
    holds: frozenset[str] = frozenset()
    gone: bool = False
    closed: bool = False

    def can_begin(self) -> bool:
        return self.running is None and self.following not in (None, CLOSE) and bool(self.queue)


@dataclass
class SimulatedRun:
    """Runs all tests; `seconds` and `wanted` say what each takes and which boards will do."""

    seconds: Sequence[float]
    wanted: Sequence[frozenset[str]]
    boards: Sequence[str]
    workers: int
    known: Mapping[int, float] = field(default_factory=dict)
    crashes: frozenset[int] = frozenset()  # tests that kill their worker
    loses: Mapping[int, str] = field(default_factory=dict)  # tests that find a board gone
    unusable: frozenset[str] = frozenset()  # boards that no worker can get
    busy: Mapping[str, float] = field(default_factory=dict)  # boards that others hold until then
    partnered: Mapping[int, Sequence[frozenset[str]]] = field(default_factory=dict)
    images: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    flash_s: float = 0.0
    setup_s: float = 0.0
    far: bool = False  # its boards are other machines', given back as soon as no test is left for them
    given_back: list[str] = field(default_factory=list)
    ran: list[tuple[str, int, str | None]] = field(default_factory=list)
    together: dict[int, tuple[str, ...]] = field(default_factory=dict)  # the boards of tests with partners
    by_themselves: set[int] = field(default_factory=set)  # tests whose worker finds their boards by itself
    crashed: list[int] = field(default_factory=list)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        hardware = {index for index, requirement in enumerate(self.wanted) if requirement & set(self.boards)}
        costs = Costs(self.known, hardware | self.partnered.keys())
        self.plan = Plan(self.wanted, self.boards, costs, self.partnered, self.images)
        self.flashes: list[tuple[str, str]] = []  # board and image
        self._events: list[tuple[float, int, object]] = []
        self._order = itertools.count()
        self._live: dict[str, SimulatedWorker] = {}
        self._names = (f"gw{number}" for number in itertools.count())
        self.setups = 0  # how often a worker had to get a board

    def run(self) -> float:
        """Seconds until the last test has ended."""
        for _ in range(self.workers):
            self._join()
        self._obey(self.plan.next_actions(self.now_s))
        while self.plan.has_pending:
            self._shut_down_if_finished()
            assert self._events, "nothing will ever happen again"
            self.now_s, _, call = heapq.heappop(self._events)
            call()
        return self.now_s

    def lower_bound_s(self) -> float:
        busy = sum(
            self.seconds[index]
            for index, requirement in enumerate(self.wanted)
            if requirement & set(self.boards)
        )
        busy += sum(self.seconds[index] * len(some) for index, some in self.partnered.items())
        bound = sum(self.seconds) / self.workers
        return max(bound, busy / len(self.boards)) if self.boards else bound

    def _later(self, delay_s: float, call: object) -> None:
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._order), call))

    def _join(self) -> None:
        worker = SimulatedWorker(next(self._names))
        self._live[worker.name] = worker
        self.plan.join(worker.name)

    def _shut_down_if_finished(self) -> None:
        if self.plan.finished:
            for worker in self._live.values():
                self._close(worker)

    def _obey(self, actions: Actions) -> None:
        for name, index, board in actions.boards:
            self._live[name].boards[index] = board
            self._live[name].partners[index] = actions.partners.get(index, ())
            self._live[name].last.discard(index)
        for name, index in actions.last:
            worker = self._live[name]
            assert index != worker.running, "told too late where the hardware work ends"
            worker.last.add(index)
        for name, tests in actions.ask_back:
            self._later(
                LATENCY_S, lambda worker=self._live[name], tests=tests: self._give_back(worker, tests)
            )
        for name, tests in actions.send.items():
            self._later(LATENCY_S, lambda worker=self._live[name], tests=tests: self._receive(worker, tests))
        for name in actions.close:
            self._close(self._live[name])
        if self.far:
            self._give_boards_back()

    def _give_boards_back(self) -> None:
        for board in sorted(set(self.boards) - set(self.given_back)):
            if not self.plan.needs(board):
                lost = board in self.loses.values()
                assert lost or not any(board in worker.holds for worker in self._live.values()), (
                    "it is in use"
                )
                self.plan.lose(board)
                self.given_back.append(board)

    def _close(self, worker: SimulatedWorker) -> None:
        if not worker.closed:
            worker.closed = True
            self._later(LATENCY_S, lambda: self._receive(worker, [CLOSE]))

    def _receive(self, worker: SimulatedWorker, tests: Sequence[int]) -> None:
        worker.queue.extend(tests)
        self._go_on(worker)

    def _give_back(self, worker: SimulatedWorker, tests: Sequence[int]) -> None:
        if worker.gone:
            return
        given = [index for index in worker.queue if index in tests]
        if len(given) < len(tests):
            given = []
        worker.queue = deque(index for index in worker.queue if index not in given)
        self._later(LATENCY_S, lambda: self._returned(worker, given))

    def _returned(self, worker: SimulatedWorker, given: Sequence[int]) -> None:
        if worker.name in self._live:
            self.plan.returned(worker.name, given)
            self._obey(self.plan.next_actions(self.now_s))

    def _go_on(self, worker: SimulatedWorker) -> None:
        if worker.gone or worker.running is not None:
            return
        if worker.following is None and worker.queue:
            worker.following = worker.queue.popleft()
        if worker.following == CLOSE or (worker.following is None and worker.queue == deque([CLOSE])):
            self._later(LATENCY_S, lambda: self._leave(worker))
        elif worker.can_begin():
            worker.running, worker.following = worker.following, worker.queue.popleft()
            self._begin(worker, worker.running)

    def _begin(self, worker: SimulatedWorker, index: int) -> None:
        board = worker.boards.get(index)
        together = (board, *worker.partners.get(index, ())) if board else ()
        for one in together:
            if self.now_s < self.busy.get(one, 0.0) and worker.following != CLOSE:
                if not self.plan.is_retried(one):
                    self._later(LATENCY_S, lambda: self._passed_over(worker, index, one, busy=True))  # noqa: B023 - returns
                    return
                self.now_s = self.busy[one]  # it waits
        for one in together:
            if one in self.unusable:
                if worker.following != CLOSE:
                    self._later(LATENCY_S, lambda: self._passed_over(worker, index, one))  # noqa: B023 - returns
                    return
                board, together = None, ()  # it releases what it holds, and looks for another one by itself
                worker.holds = frozenset()
                self.by_themselves.add(index)
                break
        self.ran.append((worker.name, index, board))
        setup_s = self.setup_s if set(together) - worker.holds else 0.0
        if board:
            self.together[index] = together
            others = [other for other in self._live.values() if other is not worker]
            holders = [other.name for other in others if not other.holds.isdisjoint(together)]
            assert not holders, f"{worker.name} waits for {together} held by {holders}"
            assert worker.holds <= set(together), "holds another board"
            self.setups += len(set(together) - worker.holds)
            worker.holds = frozenset(together)
        seconds = self.seconds[index] + setup_s + sum(self._put_image(index, one) for one in together)
        end = self._crash if index in self.crashes and index not in self.crashed else self._end
        self._later(seconds, lambda: end(worker, index))

    def _put_image(self, index: int, board: str) -> float:
        """Seconds to put the image of a test on a board."""
        image = self.images.get(index, {}).get(board)
        on_board = next((had for one, had in reversed(self.flashes) if one == board), None)
        if not image or image == on_board:
            return 0.0
        self.flashes.append((board, image))
        return self.flash_s

    def _passed_over(self, worker: SimulatedWorker, index: int, board: str, *, busy: bool = False) -> None:
        """A worker could not get the board of a test: it holds none now, and the test is for others."""
        worker.running, worker.holds = None, frozenset()
        self._later(LATENCY_S, lambda: self._not_begun(worker, index, board, busy=busy))
        self._go_on(worker)

    def _not_begun(self, worker: SimulatedWorker, index: int, board: str, *, busy: bool) -> None:
        if busy:
            self.plan.defer(board)
        else:
            self.plan.lose(board)
        self.plan.not_begun(worker.name, index, self.now_s)
        self._obey(self.plan.next_actions(self.now_s))

    def _end(self, worker: SimulatedWorker, index: int) -> None:
        worker.running = None
        if index in worker.last:
            worker.holds = frozenset()
        self._later(LATENCY_S, lambda: self._ended(worker, index))
        self._go_on(worker)

    def _ended(self, worker: SimulatedWorker, index: int) -> None:
        if index in self.loses:
            self.plan.lose(self.loses[index])
        self.plan.complete(worker.name, index, self.seconds[index], self.now_s)
        self._obey(self.plan.next_actions(self.now_s))

    def _crash(self, worker: SimulatedWorker, index: int) -> None:
        worker.holds = frozenset()
        worker.gone = True
        self.crashed.append(index)
        self._later(LATENCY_S * 2, lambda: self._left(worker))

    def _left(self, worker: SimulatedWorker) -> None:
        self._leave(worker)
        self._later(RESTART_S, self._replace)

    def _leave(self, worker: SimulatedWorker) -> None:
        if worker.name in self._live:
            del self._live[worker.name]
            assert self.plan.leave(worker.name) == worker.running
            self._obey(self.plan.next_actions(self.now_s))

    def _replace(self) -> None:
        self._join()
        self._obey(self.plan.next_actions(self.now_s))
