"""Turn the mux of one board, unless programs use the stick that goes away, and find the stick that comes.

Each turn goes through `StickMux.set_position`, which calls `check_detach` just before the request: none takes
the stick from a program that uses it, unless the caller forces that. While it is uncertain which disk is the
stick, each disk that may be the stick counts.
"""

from __future__ import annotations

import enum
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.dutlink.storage.stick_finder import APPEARS_WITHIN_S, GOES_WITHIN_S
from hil.dutlink.storage.stick_proof import MuxTurns
from hil.dutlink.timing import Deadline, until
from hil.dutlink.usb.protocol import Request, StorageAction
from hil.errors import StickInUseError, StickLostError
from hil.flash.disk.users import user_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.dutlink.storage.stick_finder import StickFinder
    from hil.dutlink.storage.usb_sockets import UsbDisk
    from hil.dutlink.usb.control_link import ControlLink

__all__ = ["DetachReason", "DiskUse", "Position", "StickMux", "check_detach", "note_raw_turn"]

_PASSES_WITHIN_S = 1.5
"""Seconds that a desktop's short look at a disk may take before it counts as a use."""


class DetachReason(enum.Enum):
    """Why the stick may be detached from the host."""

    UNUSED = "no program uses the stick"
    FORCED = "the caller takes it from the programs that use it"
    OURS = "this process holds it open and locked until the mux has turned"

    @classmethod
    def of(cls, *, force: bool) -> DetachReason:
        """Return FORCED or UNUSED."""
        return cls.FORCED if force else cls.UNUSED


class DiskUse(NamedTuple):
    """A use of a disk on this host.

    Attributes:
        why: What uses it.
        is_certain: Whether the disk is certainly the stick.
    """

    why: str
    is_certain: bool


def check_detach(serial: str, reason: DetachReason, find_use: Callable[[], DiskUse | None]) -> str:
    """Return what uses the stick that is about to be detached; empty if nothing is seen.

    Args:
        serial: The board's serial number.
        reason: Why it may be detached.
        find_use: Returns a use of the stick, or of a disk that may be it, or None.

    Raises:
        StickInUseError: The stick is in use, and `reason` does not allow to detach it.
    """
    if reason is DetachReason.OURS:
        return ""
    try:
        use = find_use()
        if use is not None and reason is DetachReason.UNUSED:
            until(lambda: find_use() is None, _PASSES_WITHIN_S)
            use = find_use()
    except OSError as error:
        if reason is DetachReason.FORCED:  # also if the kernel does not tell: the board must be made safe
            return ""
        raise _in_use(serial, DiskUse(f"what uses it cannot be seen: {error}", is_certain=False)) from error
    if use is None:
        return ""
    if reason is DetachReason.UNUSED:
        raise _in_use(serial, use)
    return use.why if use.is_certain else f"{use.why}, and that disk may be the stick"


def _in_use(serial: str, use: DiskUse) -> StickInUseError:
    if use.is_certain:
        return StickInUseError(
            f"board {serial}: the stick is in use on this host and was not taken away",
            why=use.why,
            remedy="end that first (umount, fuser -v), or take it away all the same: "
            f"hil storage off --force --board {serial} (force=True in Python)",
            serial=serial,
        )
    return StickInUseError(
        f"board {serial}: a disk that may be the stick is in use on this host, so the mux was not turned",
        why=f"{use.why}; the stick is not known here yet, or not at its socket now, so each "
        "removable USB disk may be it",
        remedy="end that first (umount, fuser -v); or, if that disk is not this board's stick: "
        f"hil storage learn --force --board {serial}, after which that disk does not count any more "
        "(storage.learn(force=True) in Python)",
        serial=serial,
    )


_CHANGES: Final[Counter[tuple[Path, str]]] = Counter()
"""How often a stick may have been changed, by device folder and board: a process may open a board twice."""

_TURNS: Final[Counter[tuple[Path, str]]] = Counter()
"""How often this process has turned a mux, by device folder and board."""


def note_raw_turn() -> None:
    """Count a turn that this process requests without hil's driver; which board it is for is not known."""
    for counts in (_CHANGES, _TURNS):
        counts.update(list(counts))  # one more for each board


class Position(enum.StrEnum):
    """Where the mux connects the stick."""

    OFF = "off"
    HOST = "host"
    DUT = "dut"


class StickMux:
    """The mux of one board.

    Args:
        link: The control link to the board.
        finder: Finds the stick; it is told before and after the stick may come.
        dev: The host's device folder.
        sys: The folder of the host's kernel for disks.
        before_turn: Called before each turn, so that a caller can record the position as unknown.
        is_remote: Whether the stick is on another machine, where its users are checked.

    Attributes:
        taken_from: The program from which the stick was last taken by force; empty if none was seen.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what the mux of a board is
        self,
        link: ControlLink,
        finder: StickFinder,
        dev: Path,
        sys: Path,
        before_turn: Callable[[], None],
        is_remote: bool,
    ) -> None:
        self.taken_from = ""
        self._link = link
        self._finder = finder
        self._dev = dev
        self._sys = sys
        self._before_turn = before_turn
        self._is_remote = is_remote
        self._turned = Deadline(0.0)
        self._turns = 0
        self._set: tuple[Position | None, int] = (None, 0)  # with `_all_turns` at that time
        self._turning = threading.RLock()

    @property
    def position(self) -> Position | None:
        """The position that this object set last; None before that, and after any other turn of the mux."""
        position, turns = self._set
        return position if turns == self._all_turns else None

    @property
    def changes(self) -> int:
        """A number that grows each time that the stick may be changed through the mux."""
        return _CHANGES[self._key] + self._link.access.lent_turns()

    @property
    def _all_turns(self) -> int:
        """How often this process, and programs under its lease, have turned the mux."""
        return _TURNS[self._key] + self._link.access.lent_turns()

    @property
    def _key(self) -> tuple[Path, str]:
        return self._dev, self._link.serial

    def _note_turn(self, position: Position) -> int:
        """Count a turn before it is requested: a board may turn the mux and not answer.

        Return `_all_turns`, by which other turns show from now on.
        """
        if self._link.access.lease is not None:
            self._link.access.lease.note_turn(self._link.serial)
        if position is not Position.OFF:
            _CHANGES[self._key] += 1
        _TURNS[self._key] += 1
        return self._all_turns

    def set_position(
        self,
        position: Position,
        reason: DetachReason = DetachReason.UNUSED,
        *,
        after: int | None = None,
    ) -> int:
        """Turn the mux, unless it was turned since turn number `after`; return the number of this turn.

        Args:
            position: Where to.
            reason: Why the stick may be taken from the host.
            after: The number of a turn; None: turn in any case.

        Raises:
            StickInUseError: The stick is in use on this host, and `reason` does not allow to take it.
            StickLostError: Another thread turned the mux.
            BoardFaultError, BoardLostError: The board did not take the request.
        """
        with self._turning:
            if after not in {None, self._turns}:
                raise StickLostError(
                    f"board {self._link.serial}: the stick was not waited for to the end",
                    why="the storage was turned while its stick was looked for",
                    remedy="turn it from one thread, or wait for the stick first",
                    serial=self._link.serial,
                )
            if position is not Position.HOST:
                self.taken_from = ""
                if not self._is_remote:
                    self.taken_from = check_detach(self._link.serial, reason, self.use)
            self._before_turn()
            self._turns += 1
            turns = self._note_turn(position)
            try:
                self._link.control_out(Request.STORAGE, StorageAction[position.name])
            except BaseException:
                self._finder.end_watch()
                raise
            self._set = (position, turns)
            self._turned = Deadline(0.0)
            return self._turns

    def attach(self, reason: DetachReason) -> None:
        """Turn the mux to the host while the stick is watched for; take the stick away first if necessary."""
        self._finder.begin_watch(lambda: self._detached_s(reason))
        self._finder.note_before()
        self.set_position(Position.HOST)
        self._finder.turned()

    def wait_for_stick(self, timeout_s: float, reason: DetachReason = DetachReason.UNUSED) -> UsbDisk:
        """Wait until the stick is there and proven.

        Args:
            timeout_s: How long it may take to come the first time, in seconds.
            reason: Why the stick may be taken from the host, if it has to go and come again.

        Raises:
            StickMissingError: The stick did not come in time.
            BoardLostError, BoardTimeoutError: Neither did the stick come, nor does the board answer.
        """
        disk = self._finder.wait(timeout_s, self._watched_turns(reason))
        if disk is None:
            self._link.wait_ready()
            raise self._finder.missing(timeout_s)
        return disk

    def use(self) -> DiskUse | None:
        """Return a use of the stick, or of a disk that may be it, on this host; None if none is seen."""
        if self.is_detached:
            return None
        disks, is_certain = self._finder.candidates()
        uses = (user_of(medium, self._sys, self._dev) for disk in disks for medium in disk.media)
        why = next(filter(None, uses), "")
        return DiskUse(why, is_certain) if why else None

    def forget(self) -> None:
        """Forget the position, because the mux may be turned by other means."""
        self._set = (None, 0)
        _CHANGES[self._key] += 1

    @contextmanager
    def turned_remotely(self) -> Iterator[None]:
        """Note that the storage is off after a block in which another machine turns it."""
        self._link.access.check()
        self._finder.end_watch()
        self._set = (None, 0)
        try:
            yield
        finally:
            self._set = (Position.OFF, self._all_turns)

    @property
    def is_detached(self) -> bool:
        """Whether the stick is certainly not on the host."""
        return self.position in (Position.OFF, Position.DUT)

    def _detached_s(self, reason: DetachReason) -> float:
        """Make sure that the stick is not on the host; return for how many seconds it has not been there."""
        if not self.is_detached:
            self.set_position(Position.OFF, reason)
        return self._turned.spent_s

    def _watched_turns(self, reason: DetachReason) -> MuxTurns:
        """Return turns that fail once another thread has turned the mux."""
        last = self._turns

        def turn(position: Position) -> None:
            nonlocal last
            last = self.set_position(position, reason, after=last)

        def attach() -> None:
            self._finder.note_before()
            turn(Position.HOST)
            self._finder.turned()

        return MuxTurns(partial(turn, Position.OFF), attach, APPEARS_WITHIN_S, GOES_WITHIN_S)
