"""The board that a worker holds: what belongs to it, and how it is given back."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.held_boards import held_boards
from hil.dutlink.inherited_lease import LEASED
from hil.flash.progress import ProgressLines
from hil.lab.safe_state.action import apply_policy
from hil.lab.safe_state.policy import FORCE_OFF
from hil.lab.safe_state.record import record_name

if TYPE_CHECKING:
    from hil.boards.sources import BoardSource
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.errors import BoardLostError, GuardError
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["AcquiredBoard"]


@dataclass(slots=True)
class AcquiredBoard:
    """The board that this worker holds.

    Attributes:
        board: Open.
        lease: The right to it; None for a worker's own simulated board, which no other process sees.
        host: Where it is plugged in.
        simulated: Whether it is a simulated one.
        lost: How it was lost, if it was.
        policy: What its place calls safe.
        hosts: Where it came from, which may be another machine's lab; None for a worker's own.
        replaced: Whether it left the bus and came back since it was opened.
        test: The test that it was used for last.
        watch: Its place's own patterns of trouble on the console.
        word: By which programs that a test starts use the board under this run's lease.
    """

    board: Board
    lease: GuardedLease | None
    host: Host
    simulated: bool
    lost: BoardLostError | None = None
    policy: str = FORCE_OFF
    hosts: BoardSource | None = None
    watch: tuple[str, ...] = ()
    replaced: bool = False
    test: str = ""
    word: str = ""

    def __post_init__(self) -> None:
        self.take(self.board)

    def take(self, board: Board) -> None:
        """Use this object for the board from now on."""
        self.board = board
        self.replaced = False
        held_boards.add(self.host, board.serial)
        self.board.storage.progress = ProgressLines(_into_captured_output)
        if self.lease is not None:
            self.word = self.lease.lend(ends_borrowers=False)
            os.environ.setdefault(LEASED, self.word)
            self.lease.on_guard_lost = self._use_no_more
            if self.lease.guard_error is not None:
                self._use_no_more(self.lease.guard_error)

    def _use_no_more(self, error: GuardError) -> None:
        self._end("was taken from this run", f"{error.what} ({error.why})")

    def _end(self, how: str, why: str) -> None:
        """Refuse the board to all objects of this process, and to programs that tests started."""
        if self.lease is not None:
            self.lease.end_lending()
            if os.environ.get(LEASED) == self.word:
                del os.environ[LEASED]
        held_boards.end(self.host, self.board.access, how, after=self.test, why=why)

    @property
    def is_fallback(self) -> bool:
        """Whether it stands in for a real board that could not be used."""
        return self.lease is None

    def make_safe(self) -> None:
        """Make the board safe as its place wants it.

        Raises:
            BoardFaultError, BoardLostError: It did not do it.
        """
        apply_policy(self.board, self.policy)

    def end_use(self, how: str, why: str) -> None:
        """Refuse the board to all but the calling thread, which makes it safe and closes it.

        A thread that a test started and did not join must not switch the DUT on after that.

        Args:
            how: What becomes of the board: `was given back`.
            why: Its cause.
        """
        self._end(how, why)

    def release(self, *, safe: bool) -> None:
        """Close the board and give it back: safe as it is, or left to its guard to be made so.

        It is given back although closing it fails: the lease would keep others from it until this run ends.
        """
        with ExitStack() as after:
            if self.hosts is not None:
                after.callback(self.hosts.give_back)
            if self.lease is not None:
                after.callback(self.lease.release if safe else self.lease.abandon)
            self._end("was given back", "")
            self.board.close()
            if self.lease is not None:
                record_name(self.lease.folder, self.board)  # a test may have stored another

    def note(self, test: str) -> None:
        """Say to others what it is used for now."""
        self.test = test
        if self.lease is not None:
            self.lease.set_test(test)
        if self.hosts is not None:
            self.hosts.note(test)


def _into_captured_output(line: str) -> None:
    """Write a line where pytest keeps it: it is shown when the test fails, and with -rP."""
    sys.stdout.write(f"hil: {line}\n")
