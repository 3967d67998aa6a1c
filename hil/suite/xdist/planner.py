"""Which worker runs which test, and who holds which board: decisions only, nothing is sent here.

Hardware tests go to workers that hold a board, others to the rest; a board's worker takes others when no
hardware test waits. All unsent work is divided into one share for each worker whenever a worker has used up
its own, so nothing depends on a guess for longer than that. What was sent too much is asked back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

from hil.suite.xdist.allocation import BoardAllocator, partition_tests
from hil.suite.xdist.backlog import Backlog
from hil.suite.xdist.queue import BOUND, WorkerQueue
from hil.suite.xdist.stealing import Steal, best_steal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.suite.xdist.costs import Costs

__all__ = ["Orders", "Plan"]


@dataclass(slots=True)
class Orders:
    """What to do now: first say what is to be said, then ask back, send and close.

    Attributes:
        boards: Worker, hardware test, board: that test runs on that board; on none if all it wants are lost.
        last: Worker, test: the worker's board is free after it.
        ask_back: Worker and tests to take back.
        send: Worker and the tests that it gets.
        close: Workers that get nothing more.
    """

    boards: list[tuple[str, int, str | None]] = field(default_factory=list)
    last: list[tuple[str, int]] = field(default_factory=list)
    ask_back: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    send: dict[str, list[int]] = field(default_factory=dict)
    close: list[str] = field(default_factory=list)


class Plan:
    """The state of a run and what follows from it.

    Args:
        wanted: For each test, by index, the boards that will do; none for a test that uses no board.
        boards: Serial numbers of the boards of this run.
        costs: What tests take.
    """

    def __init__(self, wanted: Sequence[frozenset[str]], boards: Sequence[str], costs: Costs) -> None:
        self._backlog = Backlog(wanted, boards)
        self._lending = BoardAllocator(self._backlog)
        self._costs = costs
        self._queues: dict[str, WorkerQueue] = {}
        self._shares: dict[str, list[int]] = {}  # the next one is at the end
        self._divided = False  # in this round of orders
        self._now_s = 0.0
        self._orders = Orders()

    @property
    def finished(self) -> bool:
        """Whether nothing is left but to tell workers that nothing follows their last test."""
        busy = (queue.asked_back or len(queue.tests) >= BOUND for queue in self._queues.values())
        return not self._backlog and not any(busy)

    @property
    def has_pending(self) -> bool:
        """Whether a test has not ended."""
        return bool(self._backlog) or any(queue.tests for queue in self._queues.values())

    def join(self, worker: str) -> None:
        """A worker has collected and can be sent tests."""
        self._queues[worker] = WorkerQueue(worker, self._costs)
        self._forget_shares()

    def leave(self, worker: str) -> int | None:
        """A worker is gone; all it had is for others, except the test that ran, which is returned."""
        queue = self._queues.pop(worker, None)
        if queue is None:  # it ended before it had collected
            return None
        crashed = queue.tests.pop(0) if queue.runs else None
        self._put_back(queue.tests)
        return crashed

    def end(self, worker: str, now_s: float) -> None:
        """A worker was told by others that nothing follows; harmless when the plan has said so."""
        queue = self._queues.get(worker)
        if queue is not None and not queue.closing:
            queue.close(now_s)
            self._forget_shares()

    def complete(self, worker: str, index: int, seconds: float, now_s: float) -> None:
        """A test has ended."""
        self._costs.measured(index, seconds)
        self._queues[worker].finish(index, now_s)

    def not_begun(self, worker: str, index: int, now_s: float) -> None:
        """A worker is past a test that it did not begin, for want of the board that it was given."""
        self._queues[worker].finish(index, now_s)
        self._put_back([index])

    def returned(self, worker: str, indices: Sequence[int]) -> None:
        """A worker gave back what it was asked for; nothing, if it was too late."""
        queue = self._queues[worker]
        queue.asked_back = False
        queue.remove(indices)
        self._put_back(indices)

    def again(self, index: int) -> None:
        """A test is to be run once more."""
        self._put_back([index])

    def lose(self, board: str) -> None:
        """A board is gone: its tests are for the other boards, or for none."""
        if board in self._backlog.boards:
            self._lending.lose(board, self._queues.values())
            self._forget_shares()

    def defer(self, board: str) -> None:
        """Another process holds a board: its tests wait until no other is left, and are then tried again."""
        known = self._backlog
        if board in known.boards and board not in known.deferred | known.retried:
            self._lending.defer(board, self._queues.values())
            self._forget_shares()

    def is_retried(self, board: str | None) -> bool:
        """Return True if another process held a board, and its tests are tried again."""
        return board in self._backlog.retried

    def needs(self, board: str) -> bool:
        """Whether a test that has not ended runs on that board, or could yet be given to it."""
        queues = self._queues.values()
        kept = self._backlog.holds_back_for(board)
        if kept or self._backlog.waits_for(board) or any(queue.may_use(board) for queue in queues):
            return True
        movable = (index for queue in queues for index in queue.movable)
        return any(board in self._backlog.boards_for(index) for index in movable)

    def orders(self, now_s: float) -> Orders:
        """Decide what to do now; what is returned counts as done."""
        self._now_s, self._orders, self._divided = now_s, Orders(), False
        self._ask_back_lost()
        self._lend_boards()
        self._feed_all()
        if self._backlog.revive():
            self._forget_shares()
            self._lend_boards()
            self._feed_all()
        for queue in self._queues.values():
            queue.closing |= self.finished  # xdist will say so, to all
            self._tell_last(queue)
        return self._orders

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
        self._forget_shares()

    def _lend_boards(self) -> None:
        if self._lending.update(self._queues.values(), self._now_s):
            self._forget_shares()

    def _feed(self, queue: WorkerQueue) -> None:
        """Send a worker what it wants; ask others for it; else let it end, unless it is the last."""
        while queue.wants_more and (index := self._next_for(queue)) is not None:
            self._send(queue, index)
        if len(queue.tests) != BOUND - 1 or self._ask_back(queue):
            return
        waits = self._backlog.deferred.intersection(queue.boards.values())  # told the last, it would wait now
        if not self._backlog or (len(self._open()) > 1 and not waits):
            queue.close(self._now_s)
            self._orders.close.append(queue.name)

    def _next_for(self, queue: WorkerQueue) -> int | None:
        if not self._backlog.waits_for(queue.board):
            self._lend_boards()
        hardware_waits = self._backlog.waits_for(queue.board)
        if not hardware_waits and not self._backlog.plain:
            return None
        if not self._has_share(queue) and not self._divided:
            self._shares = partition_tests(self._backlog, self._open(), self._costs, self._now_s)
            self._divided = True
        if not self._has_share(queue) and hardware_waits:
            self._send_hardware_like_that_of(queue)
        if queue.board and not hardware_waits and self._ask_back(queue, only_hardware=True):
            return None
        share = self._shares.get(queue.name)
        return share[-1] if share else None

    def _has_share(self, queue: WorkerQueue) -> bool:
        """Whether its share goes on with what it should run next."""
        share = self._shares.get(queue.name)
        if not share:
            return False
        return bool(self._backlog.boards_for(share[-1])) or not self._backlog.waits_for(queue.board)

    def _send_hardware_like_that_of(self, queue: WorkerQueue) -> None:
        """Others will be faster with what waits for its board: send it to them, so that none waits."""
        for owner in self._open():
            for index in self._shares.get(owner.name, [])[::-1]:
                if queue.board in self._backlog.boards_for(index):
                    self._send(owner, index)

    def _send(self, queue: WorkerQueue, index: int) -> None:
        owners = [share for share in self._shares.values() if index in share[-1:]]
        for share in owners or [share for share in self._shares.values() if index in share]:
            share.remove(index)
        self._backlog.take(index)
        board = queue.board if self._backlog.boards_for(index) else None
        queue.add(index, board, self._now_s)
        self._orders.send.setdefault(queue.name, []).append(index)
        if index in self._costs.hardware:
            self._orders.boards.append((queue.name, index, board))

    def _ask_back(self, queue: WorkerQueue, *, only_hardware: bool = False) -> bool:
        """Ask others for something to do; True while an answer is to come."""

        def suits(index: int) -> bool:
            boards = self._backlog.boards_for(index)
            return queue.keeps(boards) if boards else not only_hardware

        loot = best_steal(queue, self._queues.values(), suits, self._now_s)
        if loot is not None:
            self._take_from(loot)
        asked = (other for other in self._queues.values() if other.asked_back)
        return any(suits(index) for other in asked for index in other.tests[BOUND:])

    def _ask_back_lost(self) -> None:
        """Take back what was sent to run on a board that is lost by now, or held by another process."""
        gone = self._lending.lost | self._backlog.deferred
        for queue in self._queues.values():
            lost = [index for index in queue.tests[BOUND:] if queue.boards.get(index) in gone]
            if lost and not queue.asked_back:
                self._take_from(Steal(queue, tuple(queue.tests[queue.tests.index(lost[0]) :])))

    def _take_from(self, loot: Steal) -> None:
        loot.owner.asked_back = True
        self._orders.ask_back.append((loot.owner.name, loot.tests))

    def _tell_last(self, queue: WorkerQueue) -> None:
        """Say where its hardware work ends: before it can begin that test, and not before that is sure."""
        hardware = [index for index in queue.tests if index in queue.boards]
        for index, follower in zip_longest(hardware, hardware[1:]):
            board = queue.boards[index]
            if follower is None:
                follows = queue.closing or queue.tests[-1] != index
                ended = board != queue.board or queue.closing or not self._backlog.waits_for(board)
            else:  # it may get its first board again behind the second
                follows, ended = True, queue.boards[follower] != board
            if follows and ended and index not in queue.last:
                queue.last |= {index}
                self._orders.last.append((queue.name, index))
