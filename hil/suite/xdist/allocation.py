"""Which worker is given the tests of which board.

Getting a board takes time (it is leased and made safe first), so a worker keeps it until no test waits for
it, and a board that was given back already is lent again only where that pays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from hil.suite.xdist.backlog import Backlog
    from hil.suite.xdist.costs import Costs
    from hil.suite.xdist.queue import WorkerQueue

__all__ = ["BoardAllocator"]

SET_UP_S = 2.0  # what getting a board may take: the meter alone averages for that long


class BoardAllocator:
    """Who has which board.

    Args:
        backlog: The unsent tests and the boards they wait for.
        costs: What tests take.
    """

    def __init__(self, backlog: Backlog, costs: Costs) -> None:
        self._backlog = backlog
        self._costs = costs
        self._given_back: set[str] = set()
        self.lost: set[str] = set()

    def update(self, queues: Collection[WorkerQueue], now_s: float) -> bool:
        """Take boards from workers that have no use for them, lend those that tests wait for.

        Returns:
            Whether a board was lent.
        """
        for queue in queues:
            self._take_back(queue)
        lent = {queue.board for queue in queues if queue.board}
        free = (board for board in self._backlog.boards if board not in lent)
        wanted = [board for board in free if self._is_wanted(board, lent)]
        wanted.sort(key=lambda board: -self._backlog.urgency(board))
        borrowed = [self._lend(board, queues, now_s) for board in wanted]
        return any(borrowed)

    def lose(self, board: str, queues: Collection[WorkerQueue]) -> None:
        """A board is gone: nobody is given tests for it any more."""
        self.lost.add(board)
        self._backlog.lose(board)
        self._take_from_all(board, queues)

    def defer(self, board: str, queues: Collection[WorkerQueue]) -> None:
        """Give no tests for a board that another process holds, until no other test is left."""
        self._backlog.defer(board)
        self._given_back.discard(board)
        self._take_from_all(board, queues)

    @staticmethod
    def _take_from_all(board: str, queues: Collection[WorkerQueue]) -> None:
        for queue in queues:
            queue.board = None if queue.board == board else queue.board

    def crashed(self, queue: WorkerQueue) -> None:
        """A worker is gone: the board that it had is free, as if it had never been lent."""
        self._given_back -= {queue.board, *queue.boards.values()}

    def _take_back(self, queue: WorkerQueue) -> None:
        board = queue.board
        needed = self._backlog.waits_for(board) and not queue.closing
        if board and not needed and board not in queue.boards.values():
            queue.board = None
            self._given_back.add(board)

    def _is_wanted(self, board: str, lent: Collection[str]) -> bool:
        if board not in self._given_back:
            return self._backlog.waits_for(board)
        waiting = self._backlog.waiting_for(board)
        if any(self._backlog.boards_for(index).isdisjoint(lent) for index in waiting):
            return True
        return sum(map(self._costs.of, waiting)) > SET_UP_S * len(lent)

    def _lend(self, board: str, queues: Collection[WorkerQueue], now_s: float) -> bool:
        """Lend it to a worker for whose own board, if it has one, no test waits."""
        holders = [queue for queue in queues if board in queue.boards.values()]
        able = [
            queue
            for queue in holders or queues
            if not queue.closing and not self._backlog.waits_for(queue.board)
        ]
        if not able:
            return False
        best = min(able, key=lambda queue: (queue.board is not None, queue.left_s(now_s)))
        best.board = board
        return True
