"""Release this process's boards. Errors are kept for the next test, or for the summary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hil.suite.boards.unsafe_boards import UnsafeBoards
from hil.suite.hook_errors import contained, told

if TYPE_CHECKING:
    from hil.boards.acquired import AcquiredBoard
    from hil.suite.boards.dependent_fixtures import DependentFixtures
    from hil.suite.boards.session import BoardSession
    from hil.suite.outcome.ledger import Ledger

__all__ = ["BoardRelease"]


class BoardRelease:
    """Releases the acquired boards, after the fixtures that depend on them have ended.

    Args:
        ledger: Takes boards that could not be made safe, and errors that no test is left to raise.
        fixtures: The fixtures that depend on the boards.

    Attributes:
        session: The acquired boards; None until a test uses one.
        unsafe: The boards that could not be made safe.
    """

    def __init__(self, ledger: Ledger, fixtures: DependentFixtures) -> None:
        self.session: BoardSession | None = None
        self.unsafe = UnsafeBoards(ledger)
        self._ledger = ledger
        self._fixtures = fixtures
        self._late_errors: list[tuple[str, BaseException]] = []

    @property
    def all_held(self) -> list[AcquiredBoard]:
        """The acquired boards, the first board first."""
        return self.session.all_held if self.session is not None else []

    def all(self, why: str = "no later test of this process uses it") -> None:
        """Release all boards; the cause is for the error that later uses of them raise."""
        self.end_fixtures()
        for held in reversed(self.all_held):
            self._release(held, why)

    def one(self, held: AcquiredBoard) -> None:
        """Release one of several boards, before the next test gets its boards."""
        self.end_fixtures()
        self._release(held, "the next test does not use it, or waits for others")

    def after_interrupt(self) -> None:
        """Release all boards after Ctrl-C; raise nothing."""
        with contained(self.keeper("after the interrupt")):
            self.all("the run was interrupted")

    def at_end(self, *, awaits_guards: bool) -> None:
        """Release all boards at the end of the run; raise nothing.

        Args:
            awaits_guards: Tell what became of boards that were left to their guards. Until the whole run
                ends, guards may be at work, and another worker may have such a board.
        """
        with contained(self.keeper("at the end of the run")):
            self.all()
        self.end_late_fixtures()
        with contained(self.keeper("at the end of the run")):
            if awaits_guards:
                self.unsafe.await_guards()

    def end_fixtures(self) -> None:
        """End the fixtures that depend on the board between two tests; the next test raises the errors."""
        boards = " and ".join(f"board {held.board.serial}" for held in self.all_held) or "its board"
        self._late_errors += [
            (f"tear-down of fixture {fixture} failed after the last test on {boards}", error)
            for fixture, error in self._fixtures.end()
        ]

    def keep_for_next_test(self, error: BaseException) -> None:
        """Keep an error between two tests, which the next test raises."""
        self._late_errors.append(("failed before a test that did not run", error))

    def end_late_fixtures(self) -> None:
        """End the fixtures after the last test; errors that no test has raised fail the run."""
        self.end_fixtures()
        late, self._late_errors = self._late_errors, []
        self._ledger.late_errors += [f"{where}: {told(error)}" for where, error in late]

    def take_late_errors(self) -> list[BaseException]:
        """Return the errors since the last call, for a test to raise."""
        late, self._late_errors = self._late_errors, []
        return [error for _, error in late]

    def power_down(self, item_id: str) -> None:
        """Before a test is repeated: leave the DUTs without power until they are cold; raise nothing."""
        with contained(self.keeper(f"before {item_id} was repeated")):
            self.end_fixtures()
            for held in self.all_held:
                held.power_down()

    def keeper(self, when: str) -> partial[None]:
        """Return a function that keeps an error for the summary: no test is left to raise it."""
        return partial(self.unsafe.add_error, when)

    def _release(self, held: AcquiredBoard, why: str) -> None:
        if self.session is None:
            return
        try:
            self.session.give_back(why, held)
            self.unsafe.forget(held.board.serial)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lease was released
            self.unsafe.add(error, held)
