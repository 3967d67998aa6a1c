"""Release this process's boards. Errors are kept for the next test, or for the summary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hil.suite.boards.unsafe_boards import UnsafeBoards
from hil.suite.hook_errors import contained

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
        late_errors: Errors between two tests: the next test raises them.
        unsafe: The boards that could not be made safe.
    """

    def __init__(self, ledger: Ledger, fixtures: DependentFixtures) -> None:
        self.session: BoardSession | None = None
        self.late_errors: list[BaseException] = []
        self.unsafe = UnsafeBoards(ledger)
        self._ledger = ledger
        self._fixtures = fixtures

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
        with contained(self.keeper("at the end of the run")):
            if awaits_guards:
                self.unsafe.await_guards()

    def end_fixtures(self) -> None:
        """End the fixtures that depend on the board between two tests; the next test raises the errors."""
        self.late_errors += self._fixtures.end()

    def end_late_fixtures(self) -> bool:
        """End the fixtures after the last test, which cannot report errors; return True if there were any."""
        self.end_fixtures()
        errors = self.take_late_errors()
        self._ledger.trouble += [f"after the last test: {type(one).__name__}: {one}" for one in errors]
        return bool(errors)

    def take_late_errors(self) -> list[BaseException]:
        """Return the errors since the last call."""
        errors, self.late_errors = self.late_errors, []
        return errors

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
