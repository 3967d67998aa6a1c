"""Decide which tests and which board each worker gets next, and what it gives back; `scheduler` sends it.

`allocation` has the calculations: how to divide boards and tests among workers.

Workers with a board run hardware tests, and other tests when no hardware test waits; the other workers run
the other tests. Tests with partners come first, those with the same boards on one worker,
which gets them when the other workers have released them. All other unsent tests are divided into one share
for each worker, and divided again when a worker has used up its share, so a wrong guess of a duration does
not last. Tests that wait too long are asked back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.suite.xdist.allocation import BoardAllocator, partition_tests
from hil.suite.xdist.backlog import Backlog
from hil.suite.xdist.flash_order import FlashOrder
from hil.suite.xdist.queue import BOUND, Steal, WorkerQueue, best_steal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hil.suite.xdist.costs import Costs

__all__ = ["Actions", "Plan"]


@dataclass(slots=True)
class Actions:
    """What to do now, in this order.

    Attributes:
        boards: Tell a worker: this hardware test runs on this board; None: all boards that suit are lost.
        partners: The partners of tests, by test.
        last: Tell a worker: release the board after this test.
        ask_back: Ask a worker to return these tests.
        send: Send these tests to a worker.
        close: Shut down these workers after their last tests.
    """

    boards: list[tuple[str, int, str | None]] = field(default_factory=list)
    partners: dict[int, tuple[str, ...]] = field(default_factory=dict)
    last: list[tuple[str, int]] = field(default_factory=list)
    ask_back: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    send: dict[str, list[int]] = field(default_factory=dict)
    close: list[str] = field(default_factory=list)


class Plan:
    """The state of a run, and what follows from it.

    Args:
        wanted: For each test, by index, the boards that will do; none for a test that uses no board.
        boards: Serial numbers of the boards of this run.
        costs: How long tests take.
        partnered: For each test with partners, the boards that will do for each of its boards.
        images: For each test, and each board, the image that the test would have there, as a key.
    """

    def __init__(
        self,
        wanted: Sequence[frozenset[str]],
        boards: Sequence[str],
        costs: Costs,
        partnered: Mapping[int, Sequence[frozenset[str]]] | None = None,
        images: Mapping[int, Mapping[str, str]] | None = None,
    ) -> None:
        self._flashes = FlashOrder(images)
        self._backlog = Backlog(wanted, boards, partnered, self._flashes.sequence(partnered or ()))
        self._allocator = BoardAllocator(self._backlog)
        self._costs = costs
        self._queues: dict[str, WorkerQueue] = {}
        self._shares: dict[str, list[int]] = {}  # the next one is at the end
        self._divided = False  # since `next_actions` was called
        self._now_s = 0.0
        self._actions = Actions()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do but to shut down workers after their last tests."""
        busy = (queue.asked_back or len(queue.tests) >= BOUND for queue in self._queues.values())
        return not self._backlog and not any(busy)

    @property
    def _is_busy(self) -> bool:
        """Whether a worker runs a test or is asked for some, so that something will happen."""
        return any(queue.runs or queue.asked_back for queue in self._queues.values())

    @property
    def has_pending(self) -> bool:
        """Whether a test has not ended."""
        return bool(self._backlog) or any(queue.tests for queue in self._queues.values())

    def join(self, worker: str) -> None:
        """Add a worker that has collected: it can be sent tests."""
        self._queues[worker] = WorkerQueue(worker, self._costs)
        self._forget_shares()

    def leave(self, worker: str) -> int | None:
        """Remove a worker that has ended, and return the test that it ran; its other tests are unsent."""
        queue = self._queues.pop(worker, None)
        if queue is None:  # the worker ended before it had collected
            return None
        crashed = queue.tests.pop(0) if queue.runs else None
        self._put_back(queue.tests)
        return crashed

    def end(self, worker: str, now_s: float) -> None:
        """Note that xdist shuts a worker down; harmless if the plan decided so."""
        queue = self._queues.get(worker)
        if queue is not None and not queue.closing:
            queue.close(now_s)
            self._forget_shares()

    def complete(self, worker: str, index: int, seconds: float, now_s: float) -> None:
        """Note that a test has ended."""
        self._costs.measured(index, seconds)
        self._queues[worker].finish(index, now_s)

    def not_begun(self, worker: str, index: int, now_s: float) -> None:
        """Note that a worker returned a test without running it, because its board cannot be used."""
        self._queues[worker].finish(index, now_s, ran=False)
        self._put_back([index])

    def returned(self, worker: str, indices: Sequence[int]) -> None:
        """Note that a worker returned the tests that were asked back, or none because it was too late."""
        queue = self._queues[worker]
        queue.asked_back = False
        queue.remove(indices)
        self._put_back(indices)

    def again(self, index: int) -> None:
        """Note that a test is to run again."""
        self._put_back([index])

    def lose(self, board: str) -> None:
        """Note that a board cannot be used: its tests are for the other boards, or for none."""
        if board in self._backlog.boards:
            self._allocator.lose(board, self._queues.values())
            self._forget_shares()

    def defer(self, board: str) -> None:
        """Note that another process holds a board: its tests are tried again when no other test is left."""
        tried = self._backlog.deferred | self._backlog.retried
        if board in self._backlog.boards and board not in tried:
            self._allocator.defer(board, self._queues.values())
            self._forget_shares()

    def is_retried(self, board: str | None) -> bool:
        """Return True if another process held a board and its tests are tried again."""
        return board in self._backlog.retried

    def needs(self, board: str) -> bool:
        """Return True if a test that has not ended runs on a board, or could still be given to it."""
        queues = self._queues.values()
        if self._backlog.wants(board) or any(queue.may_use(board) for queue in queues):
            return True
        return any(self._backlog.suits(index, board) for queue in queues for index in queue.returnable)

    def next_actions(self, now_s: float) -> Actions:
        """Return what to do now; the plan takes it for done."""
        self._now_s, self._actions, self._divided = now_s, Actions(), False
        self._ask_back_lost()
        self._send_all()
        if self._backlog and not self._is_busy and self._backlog.images.lift():
            self._forget_shares()
            self._send_all()
        if self._backlog.revive():
            self._forget_shares()
            self._send_all()
        for queue in self._queues.values():
            queue.closing |= self.finished  # xdist shuts down all workers then
            self._actions.last += [(queue.name, index) for index in queue.take_last()]
        return self._actions

    def _send_all(self) -> None:
        """Send what can be sent now; with a sequence of images, also what can be sent then."""
        left = -1
        while left != len(self._backlog):
            left = len(self._backlog)
            self._send_partnered()
            self._allocate_boards()
            self._feed_all()
            if not self._backlog.images:
                return

    def _send_partnered(self) -> None:
        """Send the tests with partners, as soon as one worker can have all their boards."""
        while True:
            together, tests = self._flashes.next_together(self._backlog)
            if self._allocator.reserved != frozenset(together):
                self._allocator.reserve(together, self._queues.values())
                self._forget_shares()
            able = self._able_to_lead(together)
            if not together or not able:
                return
            lead = min(able, key=lambda queue: (queue.board is not None, queue.left_s(self._now_s)))
            for index in tests:
                self._send(lead, index)

    def _able_to_lead(self, together: Sequence[str]) -> list[WorkerQueue]:
        """Return the workers that can have all these boards now."""
        users = [one for one in self._queues.values() if any(map(one.may_use, together))]
        able = users or self._open()
        return [one for one in able if one.accepts] if len(users) <= 1 else []

    def _feed_all(self) -> None:
        for queue in sorted(self._open(), key=lambda queue: queue.left_s(self._now_s)):
            self._feed(queue)

    def _open(self) -> list[WorkerQueue]:
        return [queue for queue in self._queues.values() if not queue.closing]

    def _forget_shares(self) -> None:
        self._shares.clear()
        self._divided = False

    def _put_back(self, indices: Sequence[int]) -> None:
        self._backlog.put(indices)
        self._flashes.returned(indices)
        self._forget_shares()

    def _allocate_boards(self) -> None:
        if self._allocator.update(self._queues.values(), self._now_s):
            self._forget_shares()

    def _feed(self, queue: WorkerQueue) -> None:
        """Send tests to a worker, or ask other workers for tests, or shut it down unless it is the last."""
        while queue.wants_more and (index := self._next_for(queue)) is not None:
            self._send(queue, index)
        if len(queue.tests) != BOUND - 1 or self._ask_back(queue):
            return
        if self._backlog.images.comes_later(queue.board) and any(
            one.tests for one in self._open() if one is not queue
        ):
            return
        # a worker that is shut down would wait for a deferred board now
        waits = self._backlog.deferred.intersection(queue.boards.values())
        if not self._backlog or (len(self._open()) > 1 and not waits):
            queue.close(self._now_s)
            self._actions.close.append(queue.name)

    def _next_for(self, queue: WorkerQueue) -> int | None:
        if not self._backlog.waits_for(queue.board):
            self._allocate_boards()
        hardware_waits = self._backlog.waits_for(queue.board)
        if not hardware_waits and not self._backlog.plain:
            return None
        if not self._has_share(queue) and not self._divided:
            known = (self._backlog, self._open(), self._costs, self._flashes)
            self._shares = partition_tests(*known, self._now_s)
            self._divided = True
        if not self._has_share(queue) and hardware_waits:
            self._send_its_hardware_to_others(queue)
        if queue.board and not hardware_waits and self._ask_back(queue, only_hardware=True):
            return None
        share = self._shares.get(queue.name)
        return share[-1] if share else None

    def _has_share(self, queue: WorkerQueue) -> bool:
        """Return True if the next test of a worker's share is of the kind that the worker should run next."""
        share = self._shares.get(queue.name)
        if not share:
            return False
        return bool(self._backlog.boards_for(share[-1])) or not self._backlog.waits_for(queue.board)

    def _send_its_hardware_to_others(self, queue: WorkerQueue) -> None:
        """Send the tests that wait for a worker's board to other workers, which will run them sooner.

        Tests for which the other worker's board is flashed keep their place.
        """
        for owner in filter(lambda one: one.accepts, self._open()):
            for index in self._shares.get(owner.name, [])[::-1]:
                waits = queue.board in self._backlog.boards_for(index)
                if waits and not self._flashes.must_flash(index, owner.board):
                    self._send(owner, index)

    def _send(self, queue: WorkerQueue, index: int) -> None:
        together = self._backlog.boards_together(index)
        owners = [share for share in self._shares.values() if index in share[-1:]]
        for share in owners or [share for share in self._shares.values() if index in share]:
            share.remove(index)
        if self._backlog.take(index):
            self._forget_shares()
        board = queue.board if self._backlog.boards_for(index) else None
        if together:
            board, *partners = together
            self._actions.partners[index] = tuple(partners)
        queue.add(index, board, self._now_s, self._actions.partners.get(index, ()))
        self._actions.send.setdefault(queue.name, []).append(index)
        self._flashes.sent(index, queue.boards_of(index))
        if index in self._costs.hardware:
            self._actions.boards.append((queue.name, index, board))

    def _ask_back(self, queue: WorkerQueue, *, only_hardware: bool = False) -> bool:
        """Ask other workers for tests; return True while a worker has such tests and has not answered."""

        def suits(index: int) -> bool:
            if self._backlog.has_partners(index):
                return False
            boards = self._backlog.boards_for(index)
            if self._flashes.must_flash(index, queue.board):
                return False
            return queue.keeps(boards) if boards else not only_hardware

        steal = best_steal(queue, self._queues.values(), suits, self._now_s)
        if steal is not None:
            self._take_from(steal)
        asked = (other for other in self._queues.values() if other.asked_back)
        return any(suits(index) for other in asked for index in other.tests[BOUND:])

    def _ask_back_lost(self) -> None:
        """Ask back tests that were sent to run on a board that cannot be used now."""
        gone = self._allocator.lost | self._backlog.deferred
        for queue in self._queues.values():
            lost = [index for index in queue.tests[BOUND:] if not gone.isdisjoint(queue.boards_of(index))]
            if lost and not queue.asked_back:
                self._take_from(Steal(queue, tuple(queue.tests[queue.tests.index(lost[0]) :])))

    def _take_from(self, steal: Steal) -> None:
        steal.owner.asked_back = True
        self._actions.ask_back.append((steal.owner.name, steal.tests))
