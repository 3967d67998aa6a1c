"""The boards that the controller assigned to a worker's present test, and what the worker reports of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import BoardBusyError
from hil.suite.xdist.plugin import worker_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from hil.boards.acquired import AcquiredBoard
    from hil.suite.xdist.worker_channel import WorkerChannel

__all__ = ["AssignedBoards"]


class AssignedBoards:
    """The boards of the present test; none in a process to which no controller assigns boards.

    Args:
        config: The run.

    Attributes:
        serial: The first board of the test; None: the controller assigned none.
        partners: The further boards of the test.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.serial: str | None = None
        self.partners: tuple[str, ...] = ()

    @property
    def channel(self) -> WorkerChannel | None:
        """The connection to a controller that assigns boards, in its workers."""
        channel = worker_channel(self._config)
        return channel if channel is not None and channel.schedules else None

    def of(self, nodeid: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the first board and the partners of a test."""
        channel = self.channel
        return (None, ()) if channel is None else (channel.board(nodeid), channel.partners(nodeid))

    def begin(self, nodeid: str, *, is_last: bool) -> bool:
        """Note the boards of the test that begins.

        Args:
            nodeid: The test.
            is_last: No other test follows in this process.

        Returns:
            True if it may wait for a board that another process holds. If not, the controller tries the tests
            of such a board again at the end.
        """
        self.serial, self.partners = self.of(nodeid)
        channel = self.channel
        return self.serial is None or channel is None or is_last or channel.may_wait(nodeid)

    def clear(self) -> None:
        """Let this process find a board for the test by itself."""
        self.serial, self.partners = None, ()

    def is_last(self, nodeid: str) -> bool:
        """Return True if the controller wants the board released after a test."""
        return self.channel is not None and self.channel.is_last_hardware(nodeid)

    def are_not(self, held: Sequence[AcquiredBoard]) -> bool:
        """Return True if the first acquired board is not the assigned one, or any was lost since."""
        if self.channel is None or not held or held[0].is_fallback:
            return False
        return held[0].board.serial != self.serial or any(one.lost is not None for one in held)

    def report_unusable(
        self, held: Sequence[AcquiredBoard], error: BaseException | None, *, may_wait: bool
    ) -> None:
        """Report that a board of the present test is in use, or cannot be used.

        Args:
            held: The boards that this process has acquired.
            error: Why the test has no board.
            may_wait: Whether this process has waited for a board in use.
        """
        blamed = self._blamed(error)
        if may_wait or self.channel is None or blamed is None or not isinstance(error, BoardBusyError):
            self.report_lost(held, error)
        else:
            self.channel.busy(blamed)

    def report_lost(self, held: Sequence[AcquiredBoard], error: BaseException | None) -> None:
        """Report the boards of the present test that cannot be used: one at least, if it has any.

        Args:
            held: The boards that this process has acquired.
            error: Why the test has no board; None: it has one.
        """
        if self.channel is None:
            return
        lost = [one.board.serial for one in held if one.lost]
        first = held[0].board.serial if held else self._blamed(error)
        for serial in lost or ([first] if first else []):
            self.channel.lost(serial)

    def return_test(self, nodeid: str) -> None:
        """Return a test to the controller, which knows a worker that can run it."""
        if self.channel is not None:
            self.channel.return_test(nodeid)

    def _blamed(self, error: BaseException | None) -> str | None:
        """Return the board that an error names, if it was assigned; else the first board."""
        named = getattr(error, "serial", None)
        return named if self.serial is not None and named in (self.serial, *self.partners) else self.serial
