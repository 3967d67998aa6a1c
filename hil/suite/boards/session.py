"""The board of this process, from the first test that needs one to the end of the session.

A test may use further boards at the same time: the partners of the first one. Boards are acquired before a
test begins, outside of its time limit. An error is kept for the test to raise.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import zip_longest
from random import random
from typing import TYPE_CHECKING

from hil.boards.acquire import acquire_simulated
from hil.boards.first_usable import BoardAcquirer
from hil.boards.own_boards import OwnBoards
from hil.boards.passed_token import inherited_token
from hil.boards.requirements import ANY_BOARD, BoardInfo, BoardRequirement
from hil.boards.search import BoardSearch
from hil.boards.sources import SimulatedSource
from hil.dutlink.discovery import ProbeResult, probe
from hil.dutlink.timing import Deadline, sleep
from hil.dutlink.usb.device_node import serials_by_address
from hil.errors import (
    BoardBusyError,
    BoardFaultError,
    BoardLostError,
    HilError,
    UnavailableError,
    UsageError,
    Verdict,
)
from hil.lab.locks.nested_lease import LEASED, refuse_other_boards
from hil.suite.hook_errors import contained
from hil.suite.markers import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.board_source import BoardSource
    from hil.boards.misspelling import KnownWords
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.suite.options import RunOptions

__all__ = ["BoardSession"]

FIRST_LAB_PAUSE_S = 2.0
"""Seconds after a failed attempt to lease several boards of a lab; twice as long after each further one."""

LONGEST_LAB_PAUSE_S = 30.0


class BoardSession:
    """The acquired boards: none, one, or those of a test that uses several.

    Args:
        source: Where the boards are.
        options: The options of the run.
        controller: Pid of the xdist controller that this process works for; 0 if there is none.
        tell: Shows the user a line.
        before_reopening: Ends the fixtures that depend on a board that came back, before it is opened again.
        release_other: Releases a board that the next test does not use; raises nothing.

    Attributes:
        held: The acquired board, or None.
        partners: The further boards of a test that uses several.
        error: Why the present test has no board, or None if it has one.
        source: The argument.
        search: What is known of the boards.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        source: BoardSource,
        options: RunOptions,
        controller: int = 0,
        tell: Callable[[str], None] = lambda _line: None,
        *,
        before_reopening: Callable[[], None] = lambda: None,
        release_other: Callable[[AcquiredBoard], None] = lambda _board: None,
    ) -> None:
        self.held: AcquiredBoard | None = None
        self.partners: list[AcquiredBoard] = []
        self.error: BaseException | None = None
        self.source = source
        self.search = BoardSearch(source, options.lab, options.silence_s)
        self._fallback: BoardSource = SimulatedSource()
        self._infos: dict[str, BoardInfo] = {}
        self._options = options
        self._controller = controller
        self._tell = tell
        self._acquirer = self._acquirer_of(source, self.search)
        self._before_reopening = before_reopening
        self._release_other = release_other

    @property
    def all_held(self) -> list[AcquiredBoard]:
        """The acquired boards, the first board first."""
        return [] if self.held is None else [self.held, *self.partners]

    def prepare(
        self,
        kind: Kind,
        test: str,
        requirement: BoardRequirement = ANY_BOARD,
        serial: str | None = None,
        *,
        partners: Sequence[str] = (),
    ) -> None:
        """Acquire a board for a test, or keep the error that says why there is none.

        Args:
            kind: Whether a simulated board may stand in.
            test: The node id of the test.
            requirement: Which boards will do.
            serial: The board that the controller gave to this worker, or None.
            partners: The further boards that it gave for a test that uses several.
        """
        self.error = None
        with contained(self.fail):
            self._refuse_lease_of_parent()
            if requirement.others:
                self._prepare_several(test, requirement, [serial, *partners] if serial else [])
                return
            if self.partners:
                self._keep_one(requirement, serial)
            self._prepare(kind, test, requirement, serial)

    def fail(self, error: BaseException) -> None:
        """Keep an error for the present test, which has no board, to raise."""
        self.error = error
        error.__context__ = None  # an error that is raised again keeps what an earlier test was failing with

    def take_shared(self, faults: Mapping[str, HilError], words: KnownWords) -> None:
        """Note that a controller gives boards to this run's workers.

        Args:
            faults: What is wrong with boards, as other workers found.
            words: The names and tags that boards told the controller.
        """
        self._acquirer.is_shared = True
        self.search.words |= words
        for serial, fault in faults.items():
            self.search.faults.setdefault(serial, fault)

    def set_may_wait(self, may_wait: bool) -> None:
        """Set whether to wait for boards that other processes hold.

        If not, the controller tries the tests of such a board again at the end.
        """
        self._acquirer.may_wait = may_wait

    @property
    def is_unusable(self) -> bool:
        """Whether the present test has no board because none can be used, not because of a mistake."""
        return isinstance(self.error, UnavailableError | BoardFaultError)

    def board(self) -> Board:
        """Return the board of the present test.

        Raises:
            Exception: What kept `prepare` from acquiring one.
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

    def boards(self, requirement: BoardRequirement) -> dict[str | int, Board]:
        """Return the boards of the present test by role.

        Args:
            requirement: The requirement of the test.

        Raises:
            Exception: What kept `prepare` from acquiring them.
        """
        self.board()
        return dict(zip(requirement.roles, (one.board for one in self.all_held), strict=True))

    @property
    def may_run_without(self) -> bool:
        """Whether a test that opens a board itself may run although `prepare` acquired none.

        It must not touch another run's board, nor wait for a board that is known to be lost.
        """
        looks_for_itself = (Verdict.ABSENT, Verdict.DENIED, Verdict.NO_BACKEND)
        return isinstance(self.error, UnavailableError) and self.error.verdict in looks_for_itself

    def usbip_ports(self) -> set[int]:
        """Return the USB/IP ports of this run's simulated boards that run now.

        Raises:
            SimulatorError: The simulated boards cannot be reached.
        """
        return self.source.usbip_ports() | self._fallback.usbip_ports()

    def device_folders(self) -> set[Path]:
        """Return the folders with the device nodes of this run's simulated boards that run now."""
        return self.source.device_folders() | self._fallback.device_folders()

    def host(self) -> Host | None:
        """Return the host of the boards, or None if that is another machine or cannot be reached."""
        with suppress(HilError):
            return None if self.source.lock_folder() else self.source.host()
        return None

    def probe_board(self, serial: str) -> ProbeResult:
        """Probe one board, acquired or not.

        Raises:
            UnavailableError: The host of the boards cannot be reached, or the run uses no boards.
        """
        return probe(self.source.host(), serial, self._options.silence_s)

    def probe(self) -> ProbeResult:
        """Probe the acquired board, or any board if none is acquired; verdicts rest on this.

        Of several boards, the first that cannot be used counts. The simulated board of mixed tests is not
        probed: it proves nothing.
        """
        if self.held is not None and not self.held.is_fallback:
            results = [one.probe(self._options.silence_s) for one in self.all_held]
            works = (Verdict.PRESENT, Verdict.FAULTY)
            return next((one for one in results if one.verdict not in works), results[0])
        try:
            host = self.source.host()
        except UnavailableError as error:
            return ProbeResult(error.verdict, error=error)
        return probe(host, None, self._options.silence_s)

    def power_down(self) -> None:
        """Leave the DUT of each acquired board without power until it is cold.

        Raises:
            HilError: A board did not do it, or its DUT still draws current.
        """
        for held in self.all_held:
            held.power_down()

    def is_as_opened(self) -> bool:
        """Return True if no acquired board was lost or left the bus since it was opened."""
        return all(held.is_as_opened for held in self.all_held)

    def suits(self, requirement: BoardRequirement, serial: str | None = None) -> bool:
        """Return True if the acquired board, if there is one, is the given one and meets a requirement."""
        return self.held is None or self.held.is_fallback or self._fits(self.held, requirement, serial)

    def _fits(self, held: AcquiredBoard, requirement: BoardRequirement, serial: str | None) -> bool:
        if serial is not None and serial != held.board.serial:
            return False
        return requirement.is_any or requirement.fits(self._last_info_of(held))

    def can_replace(self, requirement: BoardRequirement, serial: str | None = None) -> bool:
        """Return True if the board is lost, even if no test noticed, and another that suits can be used.

        Args:
            requirement: Which boards will do.
            serial: The board that the controller gave to this worker: the controller gives another one, too.
        """
        held = self.held
        if held is None or held.is_fallback or serial is not None or self.is_as_opened():
            return False
        if self.probe().verdict is Verdict.PRESENT:
            return False
        with suppress(UnavailableError):
            infos = self.search.infos(with_words=requirement.has_words)
            return any(requirement.fits(info) for info in infos if info.serial != held.board.serial)
        return False

    def info_of(self, held: AcquiredBoard) -> BoardInfo:
        """Return the name and tags of an acquired board now.

        Raises:
            HilError: It does not tell them.
        """
        return self.search.info_of(held.board, held.source)

    def name_of(self, held: AcquiredBoard) -> str:
        """Return the name of an acquired board, asked once; empty if there is none."""
        serial = held.board.serial
        if serial not in self._infos:
            self._infos[serial] = BoardInfo(serial)
            with suppress(Exception):  # asked between tests, where no error is an outcome
                self._infos[serial] = self.info_of(held)
        return self._infos[serial].name

    def release(self, why: str = "", which: AcquiredBoard | None = None) -> None:
        """Make a board safe and release it; release it even if making it safe fails.

        Args:
            why: The cause, for the error that later uses of the board raise.
            which: The board; None: the first.

        Raises:
            BoardLostError: The board is lost, and was left as it is.
            HilError: The board could not be made safe; its DUT may have power.
        """
        held = which or self.held
        if held is None:
            return
        safe = False
        try:
            if held.lost is not None and held.probe(self._options.silence_s).verdict is not Verdict.PRESENT:
                raise held.lost
            if held.is_as_opened:
                held.end_use("was given back", why)
            else:
                self._reopen(held)
            held.make_safe()
            safe = True
        finally:
            left = [one for one in self.all_held if one is not held]
            self.held, self.partners = (left[0], left[1:]) if left else (None, [])
            held.release(safe=safe)

    def close(self) -> None:
        """End the simulated boards that were started for this process alone."""
        try:
            self.source.close()
        finally:
            self._fallback.close()

    def _refuse_lease_of_parent(self) -> None:
        """Refuse to run beside a board of the same host that the parent of this process has leased.

        Raises:
            UsageError: Programs that tests start might use the other board.
        """
        token = inherited_token()
        if token and not self.source.is_remote:
            with suppress(UnavailableError):
                boards = serials_by_address(self.source.host()).values()
                refuse_other_boards(set(boards), {LEASED: token})

    def _prepare(self, kind: Kind, test: str, requirement: BoardRequirement, serial: str | None) -> None:
        held = self.held
        if held is None:
            try:
                self.held = self._acquirer.acquire(test, requirement, serial)
            except UnavailableError:
                if kind is Kind.HARDWARE or self._options.require:
                    raise
                self.held = acquire_simulated(self._fallback)
        elif held.is_fallback and kind is Kind.HARDWARE:
            self._refuse_a_second_board(test)
        elif held.lease is not None and held.lease.guard_error is not None:
            raise held.lease.guard_error
        elif not self.is_as_opened():
            self._recover(held)
            held.note(test)
        else:
            held.pass_on(test)

    def _prepare_several(self, test: str, requirement: BoardRequirement, given: Sequence[str]) -> None:
        """Acquire the boards of a test that uses several; keep those of the last test that will do."""
        if requirement.board:
            raise UsageError(
                f"{test} uses {len(requirement.needs)} boards at once",
                why=f"--hil-board {requirement.board} lets this run use one board only",
                remedy="run without --hil-board, or deselect the test",
            )
        if self.source.is_remote:
            for held in self.all_held:
                self._release_other(held)
            self.held, *self.partners = self._acquire_remote(test, requirement.needs, given)
            return
        for held in self.all_held:
            if not self._works(held):
                self._release_other(held)
        own = OwnBoards(self.all_held, self._release_other)
        acquired = self._acquirer.acquire_several(test, requirement.needs, given, own)
        self.held, *self.partners = acquired
        for held in acquired:
            held.pass_on(test)

    def _acquire_remote(
        self, test: str, needs: Sequence[BoardRequirement], given: Sequence[str]
    ) -> list[AcquiredBoard]:
        """Lease a board of a Jumpstarter lab for each requirement, and hold none while one is in use.

        Args:
            test: The test that the boards are for.
            needs: Which boards will do.
            given: The boards that the controller gave to this worker; empty if it gave none.

        Raises:
            UnavailableError: The lab has too few boards that can be used.
        """
        deadline, pause_s = Deadline(self._options.wait_s), FIRST_LAB_PAUSE_S
        with ExitStack() as line:
            if not given:
                reserve = line.enter_context(self.source.turn(needs, self._options.wait_s))
            while True:
                try:
                    if not given:
                        reserve(deadline.left_s)
                    return self._acquire_each(test, needs, given)
                except BoardBusyError:
                    if deadline.passed:
                        raise
                self.source.look_again()
                sleep(pause_s * (0.5 + random()))  # noqa: S311 - so that two runs do not try in step
                pause_s = min(2 * pause_s, LONGEST_LAB_PAUSE_S)

    def _acquire_each(
        self, test: str, needs: Sequence[BoardRequirement], given: Sequence[str]
    ) -> list[AcquiredBoard]:
        """Lease one board after the other; if one cannot be used, give all back."""
        with ExitStack() as undone:
            acquired: list[AcquiredBoard] = []
            for need, serial in zip_longest(needs, given):
                source = self.source.another() if acquired else self.source
                search = BoardSearch(source, self._options.lab, self._options.silence_s)
                acquirer = self._acquirer_of(source, search) if acquired else self._acquirer
                acquired.append(acquirer.acquire(test, replace(need, others=()), serial))
                undone.callback(acquired[-1].release, safe=True)  # not used since it was made safe
            undone.pop_all()
            return acquired

    def _acquirer_of(self, source: BoardSource, search: BoardSearch) -> BoardAcquirer:
        return BoardAcquirer(
            source,
            search,
            wait_s=self._options.wait_s,
            silence_s=self._options.silence_s,
            controller=self._controller,
            tell=self._tell,
        )

    def _keep_one(self, requirement: BoardRequirement, serial: str | None) -> None:
        """Keep one of several boards for a test that uses one; release the others.

        Of boards of a Jumpstarter lab only the first can stay: `source` knows no other.
        """
        able = self.all_held[:1] if self.source.is_remote else self.all_held
        kept = next((one for one in able if self._works(one) and self._fits(one, requirement, serial)), None)
        for held in self.all_held:
            if held is not kept:
                self._release_other(held)

    @staticmethod
    def _works(held: AcquiredBoard) -> bool:
        """Return True if a board can be kept for the next test as it is."""
        return held.is_as_opened and held.lease is not None and held.lease.guard_error is None

    def _refuse_a_second_board(self, test: str) -> None:
        """Refuse a real board to a hardware test while session fixtures use the simulated board.

        Raises:
            UnavailableError: There is no real board anyway.
            UsageError: There is a real board: the test must not be skipped.
        """
        real = self._acquirer.acquire(test)
        serial = real.board.serial
        real.release(safe=True)
        raise UsageError(
            f"board {serial} can be used now, but mixed tests of this worker already use a simulated one",
            why="it was absent or busy when the first of them began, and fixtures last for a session",
            remedy="run again; with boards that others use, give a longer --hil-wait",
            serial=serial,
        )

    def _recover(self, held: AcquiredBoard) -> None:
        """Open a board again that was lost or left the bus, if it answers at once.

        Raises:
            BoardLostError: The board does not answer.
        """
        result = self.probe()
        if held.lost is not None and result.verdict is not Verdict.PRESENT:
            raise held.lost
        self._before_reopening()
        self._reopen(held)

    def _reopen(self, held: AcquiredBoard) -> None:
        """Open a board that came back, under its lease, and make it safe.

        Raises:
            BoardLostError: The board cannot be opened, or not made safe.
            BoardBusyError: Another process, with another lock folder, took it when it came back.
        """
        try:
            self._acquirer.reopen(held)
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

    def _last_info_of(self, held: AcquiredBoard) -> BoardInfo:
        """Return a board's name and tags now; of a lost board, those that it told last."""
        serial = held.board.serial
        with suppress(HilError):
            self._infos[serial] = self.info_of(held)
        return self._infos.get(serial, BoardInfo(serial))
