"""A board that this process has acquired: look at it, pass it from test to test, and release it."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakMethod

from hil.boards.search import GLANCE_S
from hil.dutlink.discovery import ProbeResult, probe
from hil.dutlink.held_boards import held_boards
from hil.dutlink.timing import sleep
from hil.dutlink.usb.device_node import usb_node
from hil.dutlink.usb.safe_requests import SafeProof
from hil.errors import BoardLostError, BoardUnsafeError, HilError, StickInUseError, Verdict
from hil.lab.safe_state.action import apply_policy
from hil.lab.safe_state.policy import FORCE_OFF, LEAVE
from hil.lab.safe_state.record import record_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.boards.board_source import BoardSource
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.errors import GuardError, LeaseEndedError
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["AcquiredBoard"]

COLD_S = 2.0
"""Seconds without power before a DUT counts as cold, as in `power.cycle`; the meter settles in that time."""


@dataclass(slots=True, weakref_slot=True)
class AcquiredBoard:
    """An open board and the right to it.

    Attributes:
        board: The open board.
        lease: Its lease; None for a simulated board that only this process knows.
        host: The host that it is plugged into.
        simulated: Whether it is a simulated board.
        lost: How it was lost, or None.
        policy: What its place calls safe.
        source: Where it came from; None for a simulated board that only this process knows.
        watch: Regular expressions of its place for trouble on the console.
        replaced: Whether it left the bus and came back since it was opened.
        test: The test that used it last.
        on_open: Called with this object each time the board was opened.
        node: Its device node when it was opened; None if this host has none.
    """

    board: Board
    lease: GuardedLease | None
    host: Host
    simulated: bool
    lost: BoardLostError | None = None
    policy: str = FORCE_OFF
    source: BoardSource | None = None
    watch: tuple[str, ...] = ()
    replaced: bool = False
    test: str = ""
    on_open: Callable[[AcquiredBoard], None] = lambda _board: None
    node: Path | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.take(self.board)

    def take(self, board: Board) -> None:
        """Use this object for a board that was just opened and made safe; let tests open it."""
        self.board = board
        self.replaced = False
        self.node = usb_node(self.host, board.serial)
        self.on_open(self)
        lease = self.lease
        held_boards.add(self.host, board.serial, None if lease is None else lease.raise_if_unguarded)
        if self.lease is not None:
            board.access.count_lent_turns = self.lease.lent_turns
            self.lease.on_guard_lost = _weakly(self._refuse_unguarded)
            if self.lease.guard_error is not None:
                self._refuse_unguarded(self.lease.guard_error)

    def _refuse_unguarded(self, error: GuardError) -> None:
        self.end_use("was taken from this run", f"{error.what} ({error.why})")

    def end_use(self, how: str, why: str) -> None:
        """Refuse the board to all but the calling thread, and to programs that tests started.

        A thread that a test started and did not join must not switch the DUT on later.

        Args:
            how: What becomes of the board, such as `was given back`.
            why: The cause.
        """
        if self.lease is not None:
            self.lease.end_lending()
        held_boards.end(self.host, self.board.access, how, after=self.test, why=why)

    @property
    def is_fallback(self) -> bool:
        """Whether it stands in for a real board that could not be used."""
        return self.lease is None

    @property
    def has_left_bus(self) -> bool:
        """Whether the board's device node is gone, if this host has one; the board is sent no request."""
        return self.node is not None and not self.node.exists()

    @property
    def is_as_opened(self) -> bool:
        """Whether the board was neither lost nor left the bus since it was opened.

        A board that came back was reset, or hil switches its DUT off before it is used again.
        """
        return self.lost is None and not self.replaced and self.board.is_reachable()

    @property
    def can_be_kept(self) -> bool:
        """Whether the next test can use the board as it is: it is as it was opened, and its guard lives."""
        guarded = self.lease is not None and self.lease.guard_error is None
        return guarded and self.lease_loss() is None and self.is_as_opened

    @property
    def listed_name(self) -> str:
        """The name that the board's source gives it, such as `sim-1`; empty if it gives none."""
        return self.source.listed_name(self.board.serial) if self.source is not None else ""

    def lease_loss(self) -> LeaseEndedError | None:
        """Return why its lease no longer holds; None if it holds, or there is none."""
        return self.lease.loss() if self.lease is not None else None

    def probe(self, silence_s: float) -> ProbeResult:
        """Probe the board; verdicts rest on this.

        A board that answers is present, even if it cannot be opened a second time. A board that is gone or
        silent is lost, also if another device without a serial number is on the bus. A power sequence that
        was started through this board is waited for: its silence is no loss.

        Args:
            silence_s: How long the board may be silent, in seconds.
        """
        board = self.board
        patience_s = GLANCE_S if self.lost else silence_s
        result = probe(self.host, board.serial, board.busy_s + patience_s)
        works = result.verdict in {Verdict.PRESENT, Verdict.FAULTY}
        if not works and self.lost is None and board.answers(GLANCE_S):
            return ProbeResult(Verdict.PRESENT, board.serial, board.firmware)
        is_elsewhere = result.location != board.location
        is_another_device = result.serial is None and is_elsewhere
        if result.verdict in {Verdict.ABSENT, Verdict.LOST} or is_another_device:
            self.lost = _lost_error(board.serial, result.error)
            return ProbeResult(Verdict.LOST, board.serial, board.firmware, self.lost)
        came_back_elsewhere = is_elsewhere and bool(result.location)
        self.replaced = self.replaced or came_back_elsewhere
        return result

    def make_safe(self) -> SafeProof | None:
        """Make the board safe as its place wants it, and return the proof; None if it is left alone.

        Raises:
            BoardFaultError, BoardLostError: The board did not do it.
        """
        return apply_policy(self.board, self.policy)

    def power_down(self) -> None:
        """Make the DUT cold: leave it without power until the meter shows none. A lost board stays as it is.

        So does a board whose place wants its DUT left alone.

        Raises:
            HilError: The board did not do it, or its DUT still draws current.
        """
        if self.lost is not None or self.policy == LEAVE:
            return
        self.make_safe()
        sleep(COLD_S)
        self.board.power.wait_until_off()

    def pass_on(self, test: str) -> None:
        """Give the board to the next test, without what the last test left unread on the console."""
        self.note(test)
        if self.board.console.is_open:
            with suppress(HilError):  # a console that is gone raises when it is used
                self.board.console.discard()

    def note(self, test: str) -> None:
        """Tell other processes which test uses the board now."""
        self.test = test
        if self.lease is not None:
            self.lease.set_test(test)
        if self.source is not None:
            self.source.note(test)

    def release_safe(self, *, force: bool = False) -> None:
        """Make the board safe and release it; a board that cannot be made safe is left to its guard.

        Args:
            force: Take the stick away from a program of this host that uses it.

        Raises:
            StickInUseError: A program of this host uses the stick, which stays on the host. The DUT is off.
            HilError: The board could not be made safe.
        """
        proof, user = None, ""
        try:
            self.end_use("was given back", "")
            self.board.storage.forget()  # a program under this lease may have moved it to the host
            user = "" if force or self.policy == LEAVE else self.board.storage.user()
            proof = apply_policy(self.board, self.policy, leave_stick=bool(user))
        except BaseException:
            self.abandon()
            raise
        self.release(proof, position="host" if user else "off")
        if user:
            raise StickInUseError(
                f"the stick of board {self.board.serial} stays on the host, and the DUT is off",
                why=user,
                remedy="end its use (umount, fuser -v), then: hil storage off",
                serial=self.board.serial,
            )

    def make_safe_and_release(self) -> None:
        """Make the board safe and release it; a board that cannot be made safe is left to its guard."""
        try:
            proof = self.make_safe()
        except BaseException:
            self.abandon()
            raise
        self.release(proof)

    def release(self, proof: SafeProof | None, position: str = "off") -> None:
        """Close the board and release its lease, even if closing fails.

        Args:
            proof: What `make_safe` returned.
            position: Where the stick is.

        Raises:
            BoardUnsafeError: There is no proof that the board is safe; its guard makes it safe.
        """
        is_proven = isinstance(proof, SafeProof) and proof.serial == self.board.serial
        if is_proven or self.policy == LEAVE:
            self._end(position)
            return
        self.abandon()
        raise BoardUnsafeError(
            f"nothing shows that board {self.board.serial} was made safe",
            why="code of this run replaced the functions that make it safe; its guard does it now",
            remedy="end each patch and mock in the test that started it (monkeypatch does so)",
            serial=self.board.serial,
        )

    def abandon(self) -> None:
        """Close the board and leave it to its guard, which makes it safe and then unlocks it."""
        self._end(None)

    def _end(self, position: str | None) -> None:
        """Close the board; release its lease, or leave it to its guard if `position` is None."""
        with ExitStack() as after:
            if self.source is not None:
                after.callback(self.source.return_to_lab)
            if self.lease is not None:
                lease = self.lease
                after.callback(lease.abandon if position is None else partial(lease.release, position))
            self.end_use("was given back", "")
            self.board.close()
            if self.lease is not None:
                record_name(self.lease.folder, self.board)  # its user may have stored another


def _weakly(method: Callable[[GuardError], None]) -> Callable[[GuardError], None]:
    """Return a function that calls a method of an object, and does not keep that object alive."""
    reference = WeakMethod(method)

    def call(error: GuardError) -> None:
        if (found := reference()) is not None:
            found(error)

    return call


def _lost_error(serial: str, error: HilError | None) -> BoardLostError:
    return BoardLostError(
        f"board {serial} was there when the test began",
        why=f"now {error.what}" + (f" ({error.why})" if error.why else "") if error else "now it is gone",
        remedy=error.remedy if error and error.remedy else "look at cable, hub and supply, then run again",
        serial=serial,
    )
