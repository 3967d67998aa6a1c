"""One board for this worker, from the first test that needs one to the end of the session.

A board is prepared before a test begins, outside of its time limit, and whatever goes wrong is kept for the
test to raise. What was learned about a board that cannot be used is kept too, so that the next tests need
not wait for it again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hil.boards.acquire import GLANCE_S, BoardAcquirer
from hil.boards.requirements import ANY_BOARD, BoardInfo, BoardRequirement
from hil.dutlink.discovery import ProbeResult, probe
from hil.dutlink.timing import sleep
from hil.errors import (
    BoardBusyError,
    BoardFaultError,
    BoardLostError,
    HilError,
    UnavailableError,
    UsageError,
    Verdict,
)
from hil.lab.safe_state.policy import LEAVE
from hil.suite.hook_errors import contained
from hil.suite.markers import Kind
from hil.suite.outcome.verdicts import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.misspelling import KnownWords
    from hil.boards.sources import BoardSource
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.suite.options import RunOptions

__all__ = ["BoardSession"]

COLD_S = 2.0
"""Seconds without power before a DUT counts as cold, as in `power.cycle`; the meter settles in that time."""


class BoardSession:
    """Holds at most one board, from the first test that needs it to the end of the session.

    Args:
        hosts: Where boards may be.
        options: What the run was asked for.
        controller: Pid of the xdist controller that this process works for; 0 where there is none.
        tell: Shows the user a line.
        before_reopening: Ends what rests on a board that came back and is opened again.

    Attributes:
        held: The board, once there is one.
        error: Why the present test has none; None when it has one.
    """

    def __init__(
        self,
        hosts: BoardSource,
        options: RunOptions,
        controller: int = 0,
        tell: Callable[[str], None] = lambda _line: None,
        before_reopening: Callable[[], None] = lambda: None,
    ) -> None:
        self.held: AcquiredBoard | None = None
        self.error: BaseException | None = None
        self._names: dict[str, str] = {}
        self._infos: dict[str, BoardInfo] = {}
        self._hosts = hosts
        self._options = options
        self._finder = BoardAcquirer(
            hosts,
            lab=options.lab,
            wait_s=options.wait_s,
            silence_s=options.silence_s,
            controller=controller,
            tell=tell,
        )
        self._before_reopening = before_reopening

    def prepare(
        self, kind: Kind, test: str, requirement: BoardRequirement = ANY_BOARD, serial: str | None = None
    ) -> None:
        """Get a board for the test `test`, or keep the error that says why there is none.

        Args:
            kind: Whether a simulated board may stand in.
            test: Its node id.
            requirement: What kind of board it wants.
            serial: The board that the controller has given to this worker, if it gives out boards.
        """
        self.error = None
        with contained(self.fail):
            self._prepare(kind, test, requirement, serial)

    def fail(self, error: BaseException) -> None:
        """Keep an error for the present test, which has no board, to raise."""
        self.error = error
        error.__context__ = None  # one that is raised again keeps what an earlier test was failing with

    @property
    def faults(self) -> dict[str, HilError]:
        """Boards that answered and could not be used, by serial number, with what was wrong first."""
        return self._finder.faults

    def mistake(self, board: str) -> UsageError | None:
        """Return what is misspelt in the only board that a run shall use; None if nothing is known to be."""
        return self._finder.mistake(BoardRequirement(board=board))

    def share(self, faults: Mapping[str, HilError], words: KnownWords) -> None:
        """Take note that a controller gives boards to this run's workers.

        Args:
            faults: What is wrong with boards, as other workers found.
            words: What boards told the controller.
        """
        self._finder.is_shared = True
        self._finder.words |= words
        for serial, fault in faults.items():
            self._finder.faults.setdefault(serial, fault)

    def hurry(self, hasty: bool) -> None:
        """Wait for no board that another process holds; its tests are tried again after all others."""
        self._finder.is_hasty = hasty

    @property
    def is_unusable(self) -> bool:
        """Whether the present test has no board because none can be used, not because of a mistake."""
        return isinstance(self.error, UnavailableError | BoardFaultError)

    def board(self) -> Board:
        """Return the board of the present test.

        Raises:
            Exception: What kept `prepare` from getting one.
        """
        if self.error is not None:
            raise self.error
        if self.held is None:
            raise UsageError(
                "a board was asked for by a test that holds none",
                why="the test's marker or its fixtures do not say that it uses a board",
                remedy="mark it hardware or mixed",
            )
        return self.held.board

    @property
    def may_run_without(self) -> bool:
        """Whether a test that opens the board itself may run although `prepare` got none.

        It must not touch another run's board, nor wait for one that is known to be lost.
        """
        looks_for_itself = (Verdict.ABSENT, Verdict.DENIED, Verdict.NO_BACKEND)
        return isinstance(self.error, UnavailableError) and self.error.verdict in looks_for_itself

    def usbip_ports(self) -> set[int]:
        """Return the ports of this run's simulated boards, as far as they run by now.

        Raises:
            SimulatorError: They cannot be reached.
        """
        return self._hosts.usbip_ports()

    def device_folders(self) -> set[Path]:
        """Return where the device nodes of this run's simulated boards are, as far as these run by now."""
        return self._hosts.device_folders()

    def host(self) -> Host | None:
        """Return the host that the run was asked to use; None: another machine's, or it cannot be reached."""
        with suppress(HilError):
            return None if self._hosts.lock_folder() else self._hosts.chosen()
        return None

    def look_for(self, serial: str) -> ProbeResult:
        """Take a fresh look at any board of the host that the run was asked to use.

        Raises:
            UnavailableError: That host cannot be reached, or it was asked to use none.
        """
        return probe(self._hosts.chosen(), serial, self._options.silence_s)

    def prove(self) -> ProbeResult:
        """Take a fresh look at the board: the proof of every verdict.

        A board that this worker holds and that answers is present, though a new look may be denied.
        A board that this worker held and that is gone, or silent, is lost, also where another device is left
        that does not say which it is. A sequence that was started through the board is waited out: its
        silence is no loss. The simulated board of mixed tests proves nothing.
        """
        held = self.held if self.held and not self.held.is_fallback else None
        try:
            host = held.host if held else self._hosts.chosen()
        except UnavailableError as error:
            return ProbeResult(error.verdict, error=error)
        if held is None:
            return probe(host, None, self._options.silence_s)
        patience_s = GLANCE_S if held.lost else self._options.silence_s
        result = probe(host, held.board.serial, held.board.busy_s + patience_s)
        if result.verdict in REASONS and held.lost is None and held.board.answers(GLANCE_S):
            return ProbeResult(Verdict.PRESENT, held.board.serial, held.board.firmware)
        another = result.serial is None and result.location != held.board.location
        if result.verdict not in {Verdict.ABSENT, Verdict.LOST} and not another:
            moved = bool(result.location) and result.location != held.board.location
            held.replaced = held.replaced or moved
            return result
        held.lost = _lost(held.board.serial, result)
        return ProbeResult(Verdict.LOST, held.board.serial, held.board.firmware, held.lost)

    def power_down(self) -> None:
        """Leave the DUT without power until the meter agrees, so that it starts from cold.

        A place that wants its DUT left alone gets it left alone.

        Raises:
            HilError: The board did not do it, or its DUT still draws current.
        """
        held = self.held
        if held is None or held.lost is not None or held.policy == LEAVE:
            return
        held.make_safe()
        sleep(COLD_S)
        held.board.power.wait_until_off()

    def is_as_opened(self) -> bool:
        """Whether the board that is held was neither lost nor left the bus since it was opened.

        One that came back was reset, or hil switches its DUT off before it is used again.
        """
        held = self.held
        return held is None or (held.lost is None and not held.replaced and held.board.is_reachable())

    def release(self, why: str = "") -> None:
        """Make the board safe and give it back, whatever fails on the way.

        Args:
            why: The cause, for the error that later uses of the board raise.

        Raises:
            BoardLostError: It is lost, and was left as it is.
            HilError: It could not be made safe; its DUT may have power.
        """
        held = self.held
        if held is None:
            return
        safe = False
        try:
            if held.lost is not None and self.prove().verdict is not Verdict.PRESENT:
                raise held.lost
            if self.is_as_opened():
                held.end_use("was given back", why)
            else:
                self._open_again(held)
            held.make_safe()
            safe = True
        finally:
            self.held = None
            held.release(safe=safe)

    def _prepare(self, kind: Kind, test: str, requirement: BoardRequirement, serial: str | None) -> None:
        if self.held is None:
            self._acquire(kind, test, requirement, serial)
        elif self.held.is_fallback and kind is Kind.HARDWARE:
            self._refuse_a_second_board(test)
        elif self.held.lease is not None and self.held.lease.guard_error is not None:
            raise self.held.lease.guard_error
        elif not self.is_as_opened():
            self._recover(self.held)
            self.held.note(test)
        else:
            self._pass_on(self.held, test)

    def suits(self, requirement: BoardRequirement, serial: str | None = None) -> bool:
        """Whether the board that is held, if one is, is what a test wants, and the one that it was given."""
        held = self.held
        if held is None or held.is_fallback:
            return True
        if serial is not None and serial != held.board.serial:
            return False
        return requirement.is_any or requirement.fits(self._info_of(held.board))

    def can_replace(self, requirement: BoardRequirement, serial: str | None = None) -> bool:
        """Return True if the held board was lost, seen or unseen, and another one that suits can be used.

        Args:
            requirement: What kind of board it wants.
            serial: The board that the controller has given to this worker: it gives others, too.
        """
        held = self.held
        if held is None or held.is_fallback or serial is not None or self.is_as_opened():
            return False
        if self.prove().verdict is Verdict.PRESENT:
            return False
        with suppress(UnavailableError):
            infos = self._finder.infos(with_words=not requirement.is_any)
            return any(requirement.fits(info) for info in infos if info.serial != held.board.serial)
        return False

    def _info_of(self, board: Board) -> BoardInfo:
        """Return what a board says of itself now; of one that was lost, what it said last."""
        with suppress(HilError):
            self._infos[board.serial] = self._finder.info_of(board)
        return self._infos.get(board.serial, BoardInfo(board.serial))

    def name_of_board(self) -> str:
        """Return the name of the board that is held, asked once; empty if it does not say."""
        held = self.held
        if held is None:
            return ""
        if held.board.serial not in self._names:
            self._names[held.board.serial] = ""
            with suppress(Exception):  # asked between tests, where no error is an outcome
                self._names[held.board.serial] = self._finder.info_of(held.board).name
        return self._names[held.board.serial]

    def infos(self, *, with_words: bool) -> list[BoardInfo]:
        """Return the boards that can be used now, with their names and tags if asked for."""
        return self._finder.infos(with_words=with_words)

    def _acquire(self, kind: Kind, test: str, requirement: BoardRequirement, serial: str | None) -> None:
        try:
            self.held = self._finder.hold(test, requirement, serial)
        except UnavailableError:
            if kind is Kind.HARDWARE or self._options.require:
                raise
            self.held = self._finder.hold_fallback()

    def _refuse_a_second_board(self, test: str) -> None:
        """Session fixtures already hold the simulated board, so a hardware test cannot have a real one now.

        Raises:
            UnavailableError: There is no real one anyway.
            UsageError: There is: this must not be skipped over.
        """
        real = self._finder.hold(test)
        serial = real.board.serial
        real.release(safe=True)
        raise UsageError(
            f"board {serial} can be used now, but mixed tests of this worker already use a simulated one",
            why="it was absent or busy when the first of them began, and fixtures last for a session",
            remedy="run again; with boards that others use, give a longer --hil-wait",
            serial=serial,
        )

    def _recover(self, held: AcquiredBoard) -> None:
        """Use a board again that was lost or left the bus, if it answers at once.

        Raises:
            BoardLostError: It does not.
        """
        result = self.prove()
        if held.lost is not None and result.verdict is not Verdict.PRESENT:
            raise held.lost
        self._before_reopening()
        self._open_again(held)

    def _open_again(self, held: AcquiredBoard) -> None:
        """Open a board again under its lease, safe: what came back is not the board that was opened.

        Raises:
            BoardLostError: It cannot be opened, or not made safe.
            BoardBusyError: Another process, with another lock folder, took it when it came back.
        """
        try:
            self._finder.open_again(held)
        except BoardBusyError:
            raise
        except HilError as error:
            held.lost = BoardLostError(
                f"board {held.board.serial} was lost earlier in this run",
                why=f"it is back, but cannot be used ({error.what})",
                remedy="run again",
                serial=held.board.serial,
            )
            raise held.lost from error

    @staticmethod
    def _pass_on(held: AcquiredBoard, test: str) -> None:
        """Give the board to the next test: its name into the lease, and nothing of the last one's console."""
        held.note(test)
        if held.board.console.is_open:
            with suppress(HilError):  # a console that went away says so when it is used
                held.board.console.discard()


def _lost(serial: str, result: ProbeResult) -> BoardLostError:
    error = result.error
    return BoardLostError(
        f"board {serial} was there when the test began",
        why=f"now {error.what}" + (f" ({error.why})" if error.why else "") if error else "now it is gone",
        remedy=error.remedy if error and error.remedy else "look at cable, hub and supply, then run again",
        serial=serial,
    )
